import type { Scope } from "./scope.ts";

const [NEW_LINE, PLUS, HYPHEN, AT, UNDERSCORE] = [..."\n+-@_"].map((sign) => sign.charCodeAt(0));
const TOKEN_HEX = 32;
const UUID_LENGTH = 36;
/** Digits of a phone number in international form, without its plus. */
const [FEWEST_DIGITS, MOST_DIGITS] = [7, 15];
/** Bytes in which an address lies around its at sign: 64 characters of a mailbox and 255 of a domain (RFC 5321), escaped. */
const [MAILBOX, DOMAIN] = [512, 1_024];
const ADDRESS_BEGIN = /[\p{L}\p{N}._%+'-]*$/u;
const ADDRESS_END = /^[\p{L}\p{N}.-]*/u;

/** The value of a hexadecimal digit by its byte; -1: it is none. */
const HEX = new Int8Array(256).fill(-1);
for (const [value, digit] of [..."0123456789abcdef"].entries()) {
  for (const sign of [digit, digit.toUpperCase()]) HEX[sign.charCodeAt(0)] = value;
}

/** Whether one of two bytes is a sign at which to look: most are none, and one look-up for both tells. */
const HAS_SIGN = new Uint8Array(1 << 16);
for (const sign of [NEW_LINE, PLUS, HYPHEN, AT, UNDERSCORE] as number[]) {
  for (let other = 0; other < 256; other += 1) HAS_SIGN[(sign << 8) | other] = HAS_SIGN[(other << 8) | sign] = 1;
}

/**
 * What must be nowhere any more: tokens, ids of people, and the plain values of addresses and phone numbers. One pass over a text
 * finds any number of them, so that a thousand people cost as much as one. Other plain values (an account number) are too
 * short to be told from numbers that mean something else; where such a value stands, its record's token does.
 *
 * It goes by bytes: regular expressions took ten times as long for the ids and tokens of a million rows.
 */
export class Needles {
  readonly #tokens: Set<string>;
  readonly #customers: Set<string>;
  readonly #values: Set<string>;
  /** Whether any token or id begins with these four digits: most are told to be others' by it. */
  readonly #begins = new Uint8Array(1 << 16);

  constructor({ tokens, customers, identifiers }: Pick<Scope, "tokens" | "customers" | "identifiers">) {
    this.#tokens = new Set(tokens.map((token) => token.slice(token.lastIndexOf("_") + 1)));
    this.#customers = new Set(customers);
    this.#values = new Set(
      identifiers
        .map(({ canonical }) => canonical.toLowerCase())
        .filter((value) => value.includes("@") || /^\+\d{7,15}$/.test(value)),
    );
    for (const each of [...this.#tokens, ...this.#customers]) this.#begins[Number.parseInt(each.slice(0, 4), 16)] = 1;
  }

  static ofAll(scopes: readonly Scope[]): Needles {
    return new Needles({
      tokens: scopes.flatMap(({ tokens }) => tokens),
      customers: scopes.flatMap(({ customers }) => customers),
      identifiers: scopes.flatMap(({ identifiers }) => identifiers),
    });
  }

  /** Ids of people, which a column of that type is compared with. */
  get customers(): readonly string[] {
    return [...this.#customers];
  }

  /**
   * How many lines a text has, and in how many of them any needle stands.
   * @param mark a line that begins with this byte counts as one in which a needle stands
   */
  count(text: Buffer | string, mark?: number): { lines: number; hits: number } {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    const isMarked = (at: number): boolean => mark !== undefined && bytes[at] === mark;
    let [lines, hits, isHit] = [0, 0, isMarked(0)];
    const { length } = bytes;
    for (let at = 0; at < length; at += 1) {
      while (at + 1 < length && HAS_SIGN[((bytes[at] as number) << 8) | (bytes[at + 1] as number)] === 0) at += 2;
      const sign = bytes[at];
      if (sign === NEW_LINE) {
        lines += 1;
        if (isHit) hits += 1;
        isHit = isMarked(at + 1);
      } else if (sign === UNDERSCORE) isHit ||= this.#isToken(bytes, at + 1);
      else if (sign === HYPHEN) {
        // The first of an id's four.
        if (bytes[at + 5] === HYPHEN && bytes[at + 10] === HYPHEN) isHit ||= this.#isPerson(bytes, at - 8);
      } else if (sign === PLUS) isHit ||= this.#isPhone(bytes, at);
      else if (sign === AT) isHit ||= this.#isAddress(bytes, at);
    }
    return { lines, hits: hits + (isHit ? 1 : 0) };
  }

  #isToken(bytes: Buffer, from: number): boolean {
    if (!this.#mayBegin(bytes, from)) return false;
    let to = from;
    while (to - from <= TOKEN_HEX && (HEX[bytes[to] ?? 0] as number) >= 0) to += 1;
    return to - from === TOKEN_HEX && this.#tokens.has(bytes.toString("latin1", from, to).toLowerCase());
  }

  /** @param from where the id begins, if it is one */
  #isPerson(bytes: Buffer, from: number): boolean {
    if (from < 0 || !this.#mayBegin(bytes, from)) return false;
    return this.#customers.has(bytes.toString("latin1", from, from + UUID_LENGTH).toLowerCase());
  }

  #mayBegin(bytes: Buffer, from: number): boolean {
    let begin = 0;
    for (let at = from; at < from + 4; at += 1) {
      const digit = HEX[bytes[at] ?? 0] as number;
      if (digit < 0) return false;
      begin = (begin << 4) | digit;
    }
    return this.#begins[begin] === 1;
  }

  #isPhone(bytes: Buffer, from: number): boolean {
    let to = from + 1;
    while (to - from <= MOST_DIGITS && (bytes[to] as number) >= 0x30 && (bytes[to] as number) <= 0x39) to += 1;
    return to - from > FEWEST_DIGITS && this.#values.has(bytes.toString("latin1", from, to));
  }

  #isAddress(bytes: Buffer, at: number): boolean {
    if (this.#values.size === 0) return false;
    const begin = ADDRESS_BEGIN.exec(bytes.toString("utf8", Math.max(0, at - MAILBOX), at))?.[0] ?? "";
    const end = ADDRESS_END.exec(bytes.toString("utf8", at + 1, at + 1 + DOMAIN))?.[0] ?? "";
    return this.#values.has(`${begin}@${end.replace(/[.-]+$/, "")}`.toLowerCase());
  }
}
