import { createHmac, createSecretKey, type KeyObject } from "node:crypto";

/** Keyed 128-bit names: tokens of identifiers, keys of records and hashes of contents, each under a key of its own. */
export class Naming {
  readonly #record: KeyObject;
  readonly #content: KeyObject;
  readonly #token: KeyObject;
  constructor(keys: { record: Buffer; content: Buffer; token: Buffer }) {
    this.#record = createSecretKey(keys.record);
    this.#content = createSecretKey(keys.content);
    this.#token = createSecretKey(keys.token);
  }

  /** `email_<32 hex>`: equal for equal canonical values of one kind, unlinkable between kinds. */
  token(kind: string, canonical: string): string {
    return `${kind}_${mac(this.#token, `${kind}\0${canonical}`).toString("hex")}`;
  }

  /** The record's key as a uuid, from source, stream and the key's parts, each with its length before it. */
  recordKey(source: string, stream: string, parts: readonly string[]): string {
    return asUuid(mac(this.#record, lengthPrefixed([source, stream, ...parts])));
  }

  /** The hash of a record's plaintext under the definition by which it landed, as a uuid. */
  contentHash(definition: string, canonical: string): string {
    return asUuid(mac(this.#content, `${definition}\0${canonical}`));
  }
}

function mac(key: KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest().subarray(0, 16);
}

/** Without lengths, the keys ("ab", "c") and ("a", "bc") would be one. */
function lengthPrefixed(parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join("");
}

function asUuid(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
