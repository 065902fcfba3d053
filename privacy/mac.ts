import { createHmac, hash } from "node:crypto";

const BLOCK = 64;
const DIGEST = 32;
/** Longer texts gain nothing from the prepared blocks. */
const SHORT = 16_384;

/** Shared by all keys: what stands in it is overwritten by the next text. */
const inner = Buffer.alloc(BLOCK + 3 * SHORT);
const outer = Buffer.alloc(BLOCK + DIGEST);

/**
 * HMAC-SHA256 (RFC 2104) cut to 128 bits, under one key of at most 64 bytes. Of a short text it is made by two one-shot
 * hashes over prepared blocks: 1.6 µs, where createHmac takes 4.2 and leaves the collector an object each time.
 */
export class Mac {
  readonly #key: Buffer;
  readonly #innerBlock = Buffer.alloc(BLOCK, 0x36);
  readonly #outerBlock = Buffer.alloc(BLOCK, 0x5c);

  constructor(key: Buffer) {
    if (key.length > BLOCK) throw new RangeError(`a key of ${key.length} bytes is longer than a block`);
    this.#key = key;
    for (const [index, byte] of key.entries()) {
      this.#innerBlock[index]! ^= byte;
      this.#outerBlock[index]! ^= byte;
    }
  }

  /** 32 hex digits. */
  hex(text: string): string {
    if (text.length > SHORT) return createHmac("sha256", this.#key).update(text).digest("hex").slice(0, 32);
    this.#innerBlock.copy(inner);
    const end = BLOCK + inner.write(text, BLOCK, "utf8");
    this.#outerBlock.copy(outer);
    outer.write(hash("sha256", inner.subarray(0, end), "binary"), BLOCK, DIGEST, "latin1");
    return hash("sha256", outer, "hex").slice(0, 32);
  }
}
