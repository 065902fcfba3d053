import { isUtf8 } from "node:buffer";
import iconv from "iconv-lite";
import { InvalidConfig, Rejected } from "../errors.ts";

/** Turns bytes to text and knows the line it has come to. Bytes that mean nothing in the encoding are an error. */
export interface Decoder {
  /** The line that the next text begins in, from 1. */
  readonly line: number;
  decode(bytes: Buffer): string;
  end(): string;
}

/** An encoding's name; undefined: UTF-8, or UTF-16 where a byte order mark says so; null: UTF-8, since the format has no other. */
export type Encoding = string | undefined | null;

/**
 * @param head the first bytes, for a byte order mark
 * @param name of the file, for errors
 * @throws InvalidConfig where nobody knows the encoding
 */
export function createDecoder(encoding: Encoding, head: Buffer, name: string): Decoder {
  if (encoding === null) return new Utf8Decoder(name, "save the file as UTF-8");
  const named = encoding ?? markedEncoding(head);
  if (/^utf-?8$/i.test(named)) return new Utf8Decoder(name, 'set "encoding" in the config, such as windows-1252');
  if (iconv.encodingExists(named)) return new IconvDecoder(named, name);
  throw new InvalidConfig(
    `encoding "${named}" is not known; set it to a name such as utf-8, utf-16le, latin1, windows-1252 or shift_jis`,
  );
}

function markedEncoding(head: Buffer): string {
  if (head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  return "utf-8";
}

class Utf8Decoder implements Decoder {
  line = 1;
  readonly #name: string;
  readonly #mend: string;
  /** Bytes of a character whose rest has not come yet. */
  #rest: Buffer = Buffer.alloc(0);
  #offset = 0;

  constructor(name: string, mend: string) {
    this.#name = name;
    this.#mend = mend;
  }

  decode(chunk: Buffer): string {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const end = completeLength(bytes);
    this.#rest = bytes.subarray(end);
    return this.#text(bytes.subarray(0, end));
  }

  end(): string {
    return this.#text(this.#rest);
  }

  #text(bytes: Buffer): string {
    if (!isUtf8(bytes)) {
      const valid = validLength(bytes);
      const line = this.line + countLines(bytes.toString("utf8", 0, valid));
      throw new Rejected(`${this.#name} line ${line}: byte ${this.#offset + valid + 1} is not UTF-8; ${this.#mend}`);
    }
    const text = bytes.toString("utf8");
    this.line += countLines(text);
    const isMarked = this.#offset === 0 && text.startsWith("\uFEFF");
    this.#offset += bytes.length;
    return isMarked ? text.slice(1) : text;
  }
}

class IconvDecoder implements Decoder {
  line = 1;
  readonly #name: string;
  readonly #encoding: string;
  readonly #decoder: iconv.DecoderStream;
  readonly #unitBytes: number;
  #length = 0;

  constructor(encoding: string, name: string) {
    this.#name = name;
    this.#encoding = encoding;
    this.#decoder = iconv.getDecoder(encoding);
    this.#unitBytes = /^utf-?16|^ucs/i.test(encoding) ? 2 : /^utf-?32/i.test(encoding) ? 4 : 1;
  }

  decode(bytes: Buffer): string {
    this.#length += bytes.length;
    return this.#checked(this.#decoder.write(bytes));
  }

  end(): string {
    // iconv-lite drops half a unit at the end without a word.
    if (this.#length % this.#unitBytes !== 0) {
      throw new Rejected(
        `${this.#name} line ${this.line}: the file ends within a character of ${this.#encoding}; fetch the whole file, or correct "encoding"`,
      );
    }
    return this.#checked(this.#decoder.end() ?? "");
  }

  /** iconv-lite puts U+FFFD for what it can't read. In UTF-16 and UTF-32 a file may hold that character itself. */
  #checked(text: string): string {
    const bad = this.#unitBytes === 1 ? text.indexOf("\uFFFD") : -1;
    if (bad >= 0) {
      const line = this.line + countLines(text.slice(0, bad));
      throw new Rejected(
        `${this.#name} line ${line}: a byte is not ${this.#encoding}; correct "encoding" in the config`,
      );
    }
    this.line += countLines(text);
    return text;
  }
}

/** Without the first bytes of a character at the end whose others are yet to come. */
function completeLength(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** How many bytes from the start are UTF-8. */
function validLength(bytes: Buffer): number {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isUtf8(bytes.subarray(0, completeLength(bytes.subarray(0, middle))))) good = middle;
    else bad = middle;
  }
  return completeLength(bytes.subarray(0, good));
}

/** Ends of lines, `\n` or `\r\n`; those of a file that knows only `\r`. */
function countLines(text: string): number {
  const end = text.includes("\n") ? "\n" : "\r";
  let count = 0;
  for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end, at + 1)) count += 1;
  return count;
}
