import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import type pg from "pg";
import { UserError } from "../domain/errors.ts";
import { inTransaction } from "./database.ts";
import type { Vault } from "./vault.ts";

/** What a receipt says, without identifiers: names, ids of requests, moments and counts. */
export type ReceiptBody = Record<string, unknown>;

/** A receipt as a file holds it. */
export interface Receipt {
  /** The signed text, byte for byte: JSON of one object. */
  body: string;
  /** Ed25519 over `body`, hex. */
  signature: string;
  /** SHA-256 over the hash before, `body` and the signature, hex: what the next receipt is chained to. */
  hash: string;
}

/** The DER wrapping of an Ed25519 seed (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_LENGTH = 12;

/** What a receipt is about: a request, by its id, or a run of retention. */
type Subject = string | { runId: string };

/**
 * Signs what a request, or a run of retention, has come to, and chains it to the receipt before, in one transaction.
 * @returns the receipt's number
 */
export async function issueReceipt(
  pool: pg.Pool,
  vault: Vault,
  subject: Subject,
  statement: ReceiptBody,
): Promise<number> {
  const [requestId, runId] = idsOf(subject);
  const { key, version } = await signingKey(pool, vault);
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtext('miette receipts'))");
    const { rows } = await client.query<{ seq: string; hash: Buffer }>(
      "select receipt_seq as seq, hash from privacy.receipts order by receipt_seq desc limit 1",
    );
    const seq = Number(rows[0]?.seq ?? 0) + 1;
    const previous = rows[0]?.hash ?? null;
    const body = JSON.stringify({
      format: "miette receipt 1",
      receipt: seq,
      ...(requestId === null ? { run: runId } : { request: requestId }),
      issued_at: new Date().toISOString(),
      ...statement,
      previous: previous?.toString("hex") ?? null,
      key_version: version,
      public_key: publicKeyOf(key).toString("hex"),
    });
    const signature = sign(null, Buffer.from(body), key);
    await client.query(
      "insert into privacy.receipts (receipt_seq, request_id, run_id, body, signature, hash) values ($1, $2, $3, $4, $5, $6)",
      [seq, requestId, runId, body, signature, chain(previous, body, signature)],
    );
    return seq;
  });
}

/**
 * The receipt that a request has got on an occasion, issued now where there is none: what carries a request out may be
 * cut off right after, and is then done again.
 * @param state what it says, worked out only if it is issued
 * @returns the receipt's number
 */
export async function issueReceiptOnce(
  pool: pg.Pool,
  vault: Vault,
  subject: Subject,
  occasion: string,
  state: () => ReceiptBody | Promise<ReceiptBody>,
): Promise<number> {
  const { rows } = await pool.query<{ seq: string }>(
    `select receipt_seq as seq from privacy.receipts where coalesce(request_id, run_id) = $1 and body::jsonb ->> 'occasion' = $2
     order by receipt_seq limit 1`,
    [idsOf(subject).find((id) => id !== null), occasion],
  );
  if (rows[0]) return Number(rows[0].seq);
  return await issueReceipt(pool, vault, subject, { occasion, ...(await state()) });
}

function idsOf(subject: Subject): [requestId: string | null, runId: string | null] {
  return typeof subject === "string" ? [subject, null] : [null, subject.runId];
}

async function signingKey(pool: pg.Pool, vault: Vault): Promise<{ key: KeyObject; version: number }> {
  const { key: seed, version } = await vault.latestKey(pool, "receipt");
  return { key: createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" }), version };
}

/** Signs a text under the key of receipts. @returns Ed25519 over its UTF-8, base64 */
export async function signText(pool: pg.Pool, vault: Vault, text: string): Promise<string> {
  const { key } = await signingKey(pool, vault);
  return sign(null, Buffer.from(text), key).toString("base64");
}

/** The public key by which receipts and signed texts are checked: PEM, SubjectPublicKeyInfo. */
export async function publicKeyPem(pool: pg.Pool, vault: Vault): Promise<string> {
  const { key } = await signingKey(pool, vault);
  return createPublicKey(key).export({ format: "pem", type: "spki" }).toString();
}

/** The receipts of a request or a run, oldest first; all without an id. */
export async function readReceipts(client: pg.ClientBase | pg.Pool, id: string | null): Promise<Receipt[]> {
  const { rows } = await client.query<{ body: string; signature: Buffer; hash: Buffer }>(
    "select body, signature, hash from privacy.receipts where $1::uuid is null or coalesce(request_id, run_id) = $1 order by receipt_seq",
    [id],
  );
  return rows.map(({ body, signature, hash }) => ({
    body,
    signature: signature.toString("hex"),
    hash: hash.toString("hex"),
  }));
}

export interface CheckedReceipt {
  /** What it says. */
  statement: ReceiptBody;
  /** By which installations tell their receipts: the first 16 hex digits of the public key's SHA-256. */
  fingerprint: string;
}

/**
 * Checks receipts by themselves, without the warehouse: each signature, each hash, and that each follows the one before
 * where that is among them.
 * @param fingerprint the key that must have signed; absent: the one that each receipt names
 * @throws UserError that says which receipt is not as it was signed
 */
export function verifyReceipts(receipts: readonly Receipt[], fingerprint?: string): CheckedReceipt[] {
  const hashes = new Map<number, string>();
  return receipts.map(({ body, signature, hash }, index) => {
    const fail = (why: string): never => {
      throw new UserError(`${why}; it is not as it was issued`, { key: `receipt ${index + 1}` });
    };
    const statement = parse(body) ?? fail("its text is no receipt");
    const { public_key: key, previous, receipt: seq } = statement;
    if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key)) return fail("it names no key");
    const found = fingerprintOf(key);
    if (fingerprint !== undefined && found !== fingerprint) return fail(`it is signed by another key (${found})`);
    const isSigned = verify(null, Buffer.from(body), publicKeyFrom(key), Buffer.from(signature, "hex"));
    if (!isSigned) return fail("its signature is not of this text");
    const before = typeof previous === "string" ? Buffer.from(previous, "hex") : null;
    if (chain(before, body, Buffer.from(signature, "hex")).toString("hex") !== hash) return fail("its hash is another");
    const neighbour = hashes.get(Number(seq) - 1);
    if (neighbour !== undefined && neighbour !== previous) return fail("it does not follow the receipt before");
    hashes.set(Number(seq), hash);
    return { statement, fingerprint: found };
  });
}

function parse(body: string): ReceiptBody | null {
  try {
    const value: unknown = JSON.parse(body);
    const isReceipt =
      typeof value === "object" && value !== null && (value as ReceiptBody)["format"] === "miette receipt 1";
    return isReceipt ? (value as ReceiptBody) : null;
  } catch {
    return null;
  }
}

function chain(previous: Buffer | null, body: string, signature: Buffer): Buffer {
  return createHash("sha256")
    .update(previous ?? "")
    .update(body)
    .update(signature)
    .digest();
}

function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI_LENGTH);
}

function publicKeyFrom(hex: string): KeyObject {
  return createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(hex, "hex")]),
    format: "der",
    type: "spki",
  });
}

function fingerprintOf(publicKey: string): string {
  return createHash("sha256").update(Buffer.from(publicKey, "hex")).digest("hex").slice(0, 16);
}
