import { hkdfSync } from "node:crypto";
import { Mac } from "./mac.ts";

/** Master keys, random and independent: one may be retired without the others. */
export interface NamingKeys {
  record: Buffer;
  content: Buffer;
  /** For tokens in the warehouse, by which identifiers are matched. */
  token: Buffer;
  /** For the list of erased identifiers, which outlives the tokens. */
  suppression: Buffer;
  /** For the names by which destinations know a customer. */
  pseudonym: Buffer;
}

/**
 * Keyed 128-bit names: tokens of identifiers, keys of records, hashes of contents. Every kind of token and every
 * destination has a key of its own, derived by HKDF-SHA256 (RFC 5869) from the master of its use, so that a value that is
 * known in one place can't be looked for in another.
 */
export class Naming {
  readonly #record: Mac;
  readonly #content: Mac;
  readonly #masters: NamingKeys;
  readonly #derived = new Map<string, Mac>();

  constructor(keys: NamingKeys) {
    this.#record = new Mac(keys.record);
    this.#content = new Mac(keys.content);
    this.#masters = keys;
  }

  /** `email_<32 hex>`: equal for equal canonical values of one kind, unlinkable between kinds. */
  token(kind: string, canonical: string): string {
    return `${kind}_${this.#key("token", kind).hex(canonical)}`;
  }

  /** By what an erased identifier is known: no other use of the value gives the same. */
  suppression(kind: string, canonical: string): Buffer {
    return Buffer.from(this.#key("suppression", kind).hex(canonical), "hex");
  }

  /** `<32 hex>`: what a destination gets instead of a customer's id. Two destinations can't join their lists by it. */
  pseudonym(destination: string, customerId: string): string {
    return this.#key("pseudonym", destination).hex(customerId);
  }

  /** The record's key as a uuid, from source, stream and the key's parts, each with its length before it. */
  recordKey(source: string, stream: string, parts: readonly string[]): string {
    return asUuid(this.#record.hex(lengthPrefixed([source, stream, ...parts])));
  }

  /** The hash of a record's plaintext under the definition by which it landed, as a uuid. */
  contentHash(definition: string, canonical: string): string {
    return asUuid(this.#content.hex(`${definition}\0${canonical}`));
  }

  #key(use: "token" | "suppression" | "pseudonym", label: string): Mac {
    const info = `miette ${use}:${label}`;
    let key = this.#derived.get(info);
    if (!key) {
      key = new Mac(Buffer.from(hkdfSync("sha256", this.#masters[use], "", info, 32)));
      this.#derived.set(info, key);
    }
    return key;
  }
}

/** Without lengths, the keys ("ab", "c") and ("a", "bc") would be one. */
function lengthPrefixed(parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join("");
}

function asUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
