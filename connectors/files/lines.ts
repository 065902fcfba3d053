import { MAX_RECORD_CHARACTERS, type Parser, type Sink } from "./parser.ts";

/** Finds the ends of lines (`\n`, `\r\n`, `\r`) in a text, going forward only, so that each character is looked at once. */
export class LineEnds {
  readonly #text: string;
  #feed = -1;
  #return = -1;

  constructor(text: string) {
    this.#text = text;
  }

  /** Where the line ends that `from` lies in; the text's length where it does not end within the text. */
  next(from: number): number {
    if (this.#feed < from) this.#feed = this.#find("\n", from);
    if (this.#return < from) this.#return = this.#find("\r", from);
    return Math.min(this.#feed, this.#return);
  }

  /** Where the line begins that follows a line's end. */
  after(end: number): number {
    return this.#text[end] === "\r" && this.#text[end + 1] === "\n" ? end + 2 : end + 1;
  }

  #find(character: string, from: number): number {
    const at = this.#text.indexOf(character, from);
    return at < 0 ? this.#text.length : at;
  }
}

/**
 * Cuts text into lines and passes on those that are not blank. A line that is longer than a record may be is rejected
 * as `line_too_long`, with its beginning.
 */
export class LineParser implements Parser {
  readonly #sink: Sink;
  readonly #take: (line: string, number: number) => void;
  #parts: string[] = [];
  #length = 0;
  #number = 1;
  /** A `\r` at the end of a chunk: whether a `\n` belongs to it is told by the next one. */
  #held = "";

  /** @param take gets every line that is not blank, with its number from 1 */
  constructor(sink: Sink, take: (line: string, number: number) => void) {
    this.#sink = sink;
    this.#take = take;
  }

  push(chunk: string): void {
    const joined = this.#held + chunk;
    this.#held = joined.endsWith("\r") ? "\r" : "";
    const text = this.#held === "" ? joined : joined.slice(0, -1);
    const ends = new LineEnds(text);
    let from = 0;
    for (let end = ends.next(0); end < text.length; end = ends.next(from)) {
      this.#add(text.slice(from, end));
      this.#finish();
      from = ends.after(end);
    }
    this.#add(text.slice(from));
  }

  end(): void {
    this.#finish();
  }

  #add(piece: string): void {
    this.#length += piece.length;
    if (this.#length <= MAX_RECORD_CHARACTERS) this.#parts.push(piece);
  }

  #finish(): void {
    const line = this.#parts.join("");
    if (this.#length > MAX_RECORD_CHARACTERS) this.#sink.reject("line_too_long", this.#number, line);
    else if (/\S/.test(line)) this.#take(line, this.#number);
    this.#parts = [];
    this.#length = 0;
    this.#number += 1;
  }
}
