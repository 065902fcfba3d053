import type { Scope } from "./scope.ts";

const TOKEN = /_([0-9a-f]{32})(?![0-9a-f])/g;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const PHONE = /\+\d{7,15}/g;
const ADDRESS_END = /[\p{L}\p{N}.-]*/uy;
const ADDRESS_BEGIN = /[\p{L}\p{N}._%+'-]*$/u;
/** Longest mailbox that an address may have (RFC 5321), twice. */
const MAILBOX = 128;

/**
 * What must be nowhere any more: tokens, ids of people, and the plain values of addresses and phone numbers. One pass over a text
 * finds any number of them, so that a thousand people cost as much as one. Other plain values (an account number) are too
 * short to be told from numbers that mean something else; where such a value stands, its record's token does.
 */
export class Needles {
  readonly #tokens: Set<string>;
  readonly #customers: Set<string>;
  readonly #values: Set<string>;

  constructor({ tokens, customers, identifiers }: Pick<Scope, "tokens" | "customers" | "identifiers">) {
    this.#tokens = new Set(tokens.map((token) => token.slice(token.lastIndexOf("_") + 1)));
    this.#customers = new Set(customers);
    this.#values = new Set(
      identifiers
        .map(({ canonical }) => canonical.toLowerCase())
        .filter((value) => value.includes("@") || /^\+\d{7,15}$/.test(value)),
    );
  }

  /** In how many lines of a text any of them stands. */
  countIn(text: string): number {
    const hits: number[] = [];
    for (const { index, 1: hex } of text.matchAll(TOKEN)) if (this.#tokens.has(hex as string)) hits.push(index);
    if (this.#customers.size > 0) {
      for (const { index, 0: id } of text.matchAll(UUID)) if (this.#customers.has(id)) hits.push(index);
    }
    if (this.#values.size > 0) this.#findValues(text, hits);
    if (hits.length === 0) return 0;
    return new Set(hits.map((at) => text.lastIndexOf("\n", at))).size;
  }

  #findValues(text: string, hits: number[]): void {
    for (const { index, 0: phone } of text.matchAll(PHONE)) if (this.#values.has(phone)) hits.push(index);
    for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
      const begin = ADDRESS_BEGIN.exec(text.slice(Math.max(0, at - MAILBOX), at))?.[0] ?? "";
      ADDRESS_END.lastIndex = at + 1;
      const end = ADDRESS_END.exec(text)?.[0] ?? "";
      if (this.#values.has(`${begin}@${end.replace(/[.-]+$/, "")}`.toLowerCase())) hits.push(at);
    }
  }
}
