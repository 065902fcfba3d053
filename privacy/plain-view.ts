/** A text as it reads once its encodings are undone, and where each of its characters stands in the original. */
export interface PlainView {
  text: string;
  /** For each UTF-16 unit of `text` its offset in the original, then the original's length; null: the same offsets. */
  offsets: number[] | null;
}

/** An encoding may be encoded again; more than four times is no accident of a web framework. */
const MOST_LAYERS = 4;

/** Percent-encoding (that of JavaScript's `escape` too), HTML's character references, and the escapes of JSON and JavaScript. */
const ENCODED =
  /(?:%[0-9a-f]{2})+|%u[0-9a-f]{4}|&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});|\\(?:u[0-9a-f]{4}|u\{[0-9a-f]{1,6}\}|x[0-9a-f]{2}|[nrt"'/\\])/gi;
const REFERENCES: Record<string, string> = {
  amp: "&",
  apos: "'",
  commat: "@",
  gt: ">",
  hyphen: "-",
  lowbar: "_",
  lpar: "(",
  lt: "<",
  nbsp: " ",
  percnt: "%",
  period: ".",
  plus: "+",
  quot: '"',
  rpar: ")",
  sol: "/",
};
const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", '"': '"', "'": "'", "/": "/", "\\": "\\" };

/** Characters that read as another: full-width forms, ideographic and small full stops, small commercial at. */
const DISGUISED = /[\uff01-\uff5e\u2024\u3002\uff61\ufe52\ufe6b\ufe62]/;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}]/u;
const OTHER_THAN_ASCII = /[^\0-\x7f]/;

/** Undoes the encodings of a text, in time linear in its length. */
export function plainView(original: string): PlainView {
  let view: PlainView = { text: original, offsets: null };
  for (let layer = 0; layer < MOST_LAYERS; layer += 1) {
    const decoded = decodeLayer(view, original.length);
    if (decoded === null) break;
    view = decoded;
  }
  return OTHER_THAN_ASCII.test(view.text) ? withoutDisguise(view, original.length) : view;
}

/** One layer less; null where nothing is encoded. */
function decodeLayer({ text, offsets }: PlainView, length: number): PlainView | null {
  ENCODED.lastIndex = 0;
  let match = ENCODED.exec(text);
  if (!match) return null;
  const out = new Builder(offsets, length);
  let at = 0;
  for (; match; match = ENCODED.exec(text)) {
    out.copy(text, at, match.index);
    const [found] = match;
    if (/^%[^u]/i.test(found)) decodePercent(out, found, match.index);
    else out.put(decodeOne(found) ?? found, match.index, found.length);
    at = match.index + found.length;
  }
  out.copy(text, at, text.length);
  return out.hasChanged ? out.view() : null;
}

/** Bytes that are no UTF-8 stay as they are written. */
function decodePercent(out: Builder, run: string, start: number): void {
  for (let at = 0; at < run.length;) {
    const lead = parseInt(run.slice(at + 1, at + 3), 16);
    const count = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    const sequence = run.slice(at, at + count * 3);
    let decoded: string | null = null;
    if (sequence.length === count * 3) {
      try {
        decoded = decodeURIComponent(sequence);
      } catch {
        decoded = null;
      }
    }
    const width = decoded === null ? 3 : sequence.length;
    out.put(decoded ?? run.slice(at, at + 3), start + at, width);
    at += width;
  }
}

function decodeOne(found: string): string | null {
  if (!found.startsWith("&")) {
    return found.length > 2
      ? character(parseInt(found.slice(2).replace("{", ""), 16))
      : (ESCAPES[found.charAt(1)] ?? null);
  }
  const name = found.slice(1, -1).toLowerCase();
  if (!name.startsWith("#")) return REFERENCES[name] ?? null;
  const code = name.startsWith("#x") ? parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code > 0 ? character(code) : null;
}

function character(code: number): string | null {
  return code <= 0x10ffff ? String.fromCodePoint(code) : null;
}

function withoutDisguise({ text, offsets }: PlainView, length: number): PlainView {
  if (!DISGUISED.test(text) && !INVISIBLE.test(text)) return { text, offsets };
  const out = new Builder(offsets, length);
  let at = 0;
  for (const character of text) {
    if (DISGUISED.test(character)) out.put(plain(character), at, character.length);
    else if (INVISIBLE.test(character)) out.put("", at, character.length);
    else out.copy(text, at, at + character.length);
    at += character.length;
  }
  return out.view();
}

function plain(character: string): string {
  return character === "\u3002" || character === "\uff61" ? "." : character.normalize("NFKC");
}

class Builder {
  hasChanged = false;
  #text = "";
  readonly #offsets: number[] = [];
  readonly #before: number[] | null;
  readonly #length: number;
  constructor(before: number[] | null, length: number) {
    this.#before = before;
    this.#length = length;
  }

  copy(text: string, from: number, to: number): void {
    if (from === to) return;
    this.#text += text.slice(from, to);
    for (let at = from; at < to; at += 1) this.#offsets.push(this.#before === null ? at : (this.#before[at] as number));
  }

  /** @param width how many units of the text before `decoded` stands for */
  put(decoded: string, at: number, width: number): void {
    if (decoded.length !== width) this.hasChanged = true;
    const offset = this.#before === null ? at : (this.#before[at] as number);
    // What stands as it was keeps its own places, so that a match can begin within.
    for (let unit = 0; unit < decoded.length; unit += 1) {
      const own = this.#before === null ? at + unit : (this.#before[at + unit] as number);
      this.#offsets.push(decoded.length === width ? own : offset);
    }
    this.#text += decoded;
  }

  view(): PlainView {
    this.#offsets.push(this.#length);
    return { text: this.#text, offsets: this.#offsets };
  }
}
