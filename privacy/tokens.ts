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

/** Names of records and of their contents: all that reading them by their schema asks for. */
export class RecordNaming {
  readonly #record: Mac;
  readonly #content: Mac;

  constructor(keys: Pick<NamingKeys, "record" | "content">) {
    this.#record = new Mac(keys.record);
    this.#content = new Mac(keys.content);
  }

  /** The record's key as a uuid, from source, stream and the key's parts, each with its length before it. */
  recordKey(source: string, stream: string, parts: readonly string[]): string {
    let named = lengthPrefixed(source) + lengthPrefixed(stream);
    for (const part of parts) named += lengthPrefixed(part);
    return asUuid(this.#record.hex(named));
  }

  /** The hash of a record's plaintext under the definition by which it landed, as a uuid. */
  contentHash(definition: string, canonical: string): string {
    return asUuid(this.#content.hex(`${definition}\0${canonical}`));
  }
}

/**
 * Keyed 128-bit names: tokens of identifiers, keys of records, hashes of contents. Every kind of token and every
 * destination has a key of its own, derived by HKDF-SHA256 (RFC 5869) from the master of its use, so that a value that is
 * known in one place can't be looked for in another.
 */
export class Naming extends RecordNaming {
  #masters: NamingKeys;
  /** The key before, while tokens that it has made are still known. */
  #former: Buffer | null = null;
  readonly #derived = new Map<string, Mac>();

  constructor(keys: NamingKeys) {
    super(keys);
    this.#masters = keys;
  }

  /** What a `RecordNaming` in another thread of this process is made of. */
  recordKeys(): Pick<NamingKeys, "record" | "content"> {
    const { record, content } = this.#masters;
    return { record, content };
  }

  /** `email_<32 hex>`: equal for equal canonical values of one kind, unlinkable between kinds. */
  token(kind: string, canonical: string): string {
    return `${kind}_${this.#key("token", kind).hex(canonical)}`;
  }

  /** The token under the key before; null where none is known any more. */
  formerToken(kind: string, canonical: string): string | null {
    return this.#former === null ? null : `${kind}_${this.#key("former", kind).hex(canonical)}`;
  }

  /** Makes tokens under another key from now on; everything else keeps its name. */
  followTokenKey(token: Buffer, former: Buffer | null): void {
    this.#masters = { ...this.#masters, token };
    this.#former = former;
    for (const info of this.#derived.keys()) if (/^miette (?:token|former):/.test(info)) this.#derived.delete(info);
  }

  /** The same names but for tokens, which another key makes. */
  withTokenKey(token: Buffer): Naming {
    return new Naming({ ...this.#masters, token });
  }

  /** By what an erased identifier is known: no other use of the value gives the same. */
  suppression(kind: string, canonical: string): Buffer {
    return Buffer.from(this.#key("suppression", kind).hex(canonical), "hex");
  }

  /** `<32 hex>`: what a destination gets instead of a customer's id. Two destinations can't join their lists by it. */
  pseudonym(destination: string, customerId: string): string {
    return this.#key("pseudonym", destination).hex(customerId);
  }

  #key(use: "token" | "former" | "suppression" | "pseudonym", label: string): Mac {
    const info = `miette ${use}:${label}`;
    let key = this.#derived.get(info);
    if (!key) {
      const master = use === "former" ? (this.#former as Buffer) : this.#masters[use];
      const derivation = use === "former" ? `miette token:${label}` : info;
      key = new Mac(Buffer.from(hkdfSync("sha256", master, "", derivation, 32)));
      this.#derived.set(info, key);
    }
    return key;
  }
}

/** Without lengths, the keys ("ab", "c") and ("a", "bc") would be one. */
function lengthPrefixed(part: string): string {
  return `${part.length}:${part}`;
}

function asUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
