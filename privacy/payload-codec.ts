import type { Payload, PayloadCodec } from "@temporalio/common";
import { open, seal } from "./sealing.ts";

/** Keys that seal what Temporal keeps, each with an id of its own that stands beside what it sealed. */
export interface PayloadKeys {
  /** The key that seals from now on. */
  current(): Promise<{ id: string; key: Buffer }>;
  /** @returns null where the key is gone, and with it whatever it sealed */
  find(id: string): Promise<Buffer | null>;
}

/** The encoding of a sealed payload, by which the UI and others know that they can't read it. */
const ENCODING = "binary/encrypted";
const KEY_ID = "encryption-key-id";

/**
 * Seals every payload with AES-256-GCM before it leaves for the Temporal server, its metadata included. What is not
 * sealed is passed on as it is, so that histories from before stay readable.
 */
export class SealingCodec implements PayloadCodec {
  readonly #keys: PayloadKeys;
  constructor(keys: PayloadKeys) {
    this.#keys = keys;
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    if (payloads.length === 0) return [];
    const { id, key } = await this.#keys.current();
    return payloads.map((payload) => ({
      metadata: { encoding: Buffer.from(ENCODING), [KEY_ID]: Buffer.from(id) },
      data: seal(key, identity(id), pack(payload)),
    }));
  }

  /** @throws Error where the key is gone or the bytes were altered, without a byte of them */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return await Promise.all(payloads.map((payload) => this.#open(payload)));
  }

  async #open(payload: Payload): Promise<Payload> {
    if (text(payload.metadata?.["encoding"]) !== ENCODING) return payload;
    const id = text(payload.metadata?.[KEY_ID]);
    const key = await this.#keys.find(id);
    if (!key) throw new Error("a payload does not open: its key is gone");
    return unpack(open(key, identity(id), Buffer.from(payload.data ?? [])));
  }
}

function identity(id: string): string {
  return `temporal payload:${id}`;
}

function text(bytes: Uint8Array | null | undefined): string {
  return bytes ? Buffer.from(bytes).toString("utf8") : "";
}

/** Four bytes with the length of the metadata, the metadata as JSON with base64 values, the data. */
function pack({ metadata, data }: Payload): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString("base64")]);
  const head = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(head.length);
  // Of a workflow that returns nothing the SDK's payload has an empty array instead of bytes.
  return Buffer.concat([length, head, Buffer.from(data ?? [])]);
}

function unpack(bytes: Buffer): Payload {
  const end = 4 + bytes.readUInt32BE(0);
  const metadata = JSON.parse(bytes.subarray(4, end).toString("utf8")) as Record<string, string>;
  return {
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, "base64")])),
    data: bytes.subarray(end),
  };
}
