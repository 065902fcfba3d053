import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { CodedError, UserError } from "../../domain/errors.ts";
import type { TableDescription } from "./tables.ts";

/**
 * A backup file: a line in the clear, a gzip stream, then SHA-256 of all before it and an HMAC of that under the vault's
 * key `backup`. In the stream: the manifest, then each table's binary COPY in pieces. A piece is its length and its bytes;
 * an empty one ends a table and is followed by the table's row count.
 */
export type Part = "data" | "vault";

export interface Manifest {
  part: Part;
  /** Name of the project, as in miette.yaml. */
  project: string;
  /** When the snapshot was taken: ISO 8601, UTC. */
  takenAt: string;
  /** Names of the migrations that the warehouse had seen, in order. */
  migrations: string[];
  /** The privacy epoch: it rises with every erasure. */
  epoch: string;
  /** The key of the HMAC, wrapped by a generation of the key ring; a later rotation wraps it anew, so of `data` the vault's counts. */
  key: { generation: number; wrapped: string };
  /** Versions of the key of tokens that the vault kept, the current one last; absent in files that are older than re-keying: 1. */
  tokenKeys?: number[];
  /** Whether stored tokens were being renamed under a new key. */
  isRenaming?: boolean;
  tables: TableDescription[];
}

/** A part that has been read whole once and was found as it was written. */
export interface BackupFile {
  path: string;
  manifest: Manifest;
  digest: Buffer;
  mac: Buffer;
}

const TRAILER = 64;
/** A manifest describes tables, not rows: 500 streams take half a megabyte. */
const LONGEST_MANIFEST = 64 << 20;
/** Level 1 halves the time of level 6 for 8% more bytes; most of them are ciphertext, which no level shortens. */
const GZIP = { level: 1, chunkSize: 1 << 18 };

function magicOf(part: Part): Buffer {
  return Buffer.from(`miette backup 1 ${part}\n`);
}

/**
 * Writes a part under a name of its own and renames it when it is whole and on the disk: a file with the final name is
 * complete. Readable by its owner alone.
 * @param tables yields one source of COPY data per table of the manifest; each returns the table's row count
 */
export async function writeBackupFile(
  path: string,
  manifest: Manifest,
  key: Buffer,
  tables: () => Iterable<AsyncGenerator<Buffer, number>>,
): Promise<{ bytes: number }> {
  const draft = `${path}.partial`;
  await rm(draft, { force: true });
  const file = await open(draft, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`the backup can't be written there (${error.code ?? "unknown"})`, { file: draft });
  });
  try {
    const hash = createHash("sha256").update(magicOf(manifest.part));
    await file.writeFile(magicOf(manifest.part));
    // Not a stream over the handle: one that leaves the handle open never says that it has ended.
    await pipeline(
      Readable.from(plain(manifest, tables)),
      createGzip(GZIP),
      async (compressed: AsyncIterable<Buffer>) => {
        for await (const chunk of compressed) {
          hash.update(chunk);
          await file.writeFile(chunk);
        }
      },
    );
    const digest = hash.digest();
    await file.writeFile(Buffer.concat([digest, macOf(key, manifest.part, digest)]));
    const { size } = await file.stat();
    await file.sync();
    await file.close();
    await rename(draft, path);
    await syncFolder(dirname(path));
    return { bytes: size };
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(draft, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC") throw new UserError("the disk is full; nothing was kept of this backup", { file: path });
    throw error;
  }
}

async function* plain(
  manifest: Manifest,
  tables: () => Iterable<AsyncGenerator<Buffer, number>>,
): AsyncGenerator<Buffer> {
  const header = Buffer.from(JSON.stringify(manifest));
  yield Buffer.concat([lengthOf(header), header]);
  for (const table of tables()) {
    for (;;) {
      const { done, value } = await table.next();
      if (done) {
        const rows = Buffer.alloc(12);
        rows.writeBigUInt64BE(BigInt(value), 4);
        yield rows;
        break;
      }
      if (value.length > 0) yield Buffer.concat([lengthOf(value), value]);
    }
  }
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}

function macOf(key: Buffer, part: Part, digest: Buffer): Buffer {
  return createHmac("sha256", key).update(`miette backup 1 ${part}\0`).update(digest).digest();
}

/** A rename is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().catch(() => undefined);
  await handle.close();
}

/**
 * Reads a part from end to end. @throws UserError in one sentence where it is no backup, cut short, or altered
 */
export async function openBackupFile(path: string, part: Part): Promise<BackupFile> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new UserError(error.code === "ENOENT" ? "there is no such file" : `the file can't be read (${error.code})`, {
      file: path,
    });
  });
  try {
    const magic = magicOf(part);
    const { size } = await file.stat();
    await requireMagic(file, path, part);
    if (size < magic.length + TRAILER) throw damaged(path);
    const hash = createHash("sha256");
    const stream = file.createReadStream({
      start: 0,
      end: size - TRAILER - 1,
      autoClose: false,
      highWaterMark: 1 << 20,
    });
    for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
    const trailer = Buffer.alloc(TRAILER);
    await file.read(trailer, 0, TRAILER, size - TRAILER);
    const digest = hash.digest();
    if (!digest.equals(trailer.subarray(0, 32))) throw damaged(path);
    const reader = new PieceReader(content(path, part, size));
    const manifest = JSON.parse((await reader.piece(LONGEST_MANIFEST)).toString()) as Manifest;
    await reader.end();
    return { path, manifest, digest, mac: trailer.subarray(32) };
  } catch (error) {
    // What gunzip and JSON say of bytes that are no backup's.
    if (error instanceof UserError) throw error;
    throw damaged(path);
  } finally {
    await file.close();
  }
}

async function requireMagic(file: FileHandle, path: string, part: Part): Promise<void> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
  const starts = (other: Part): boolean => buffer.subarray(0, bytesRead).indexOf(magicOf(other)) === 0;
  if (starts(part)) return;
  const other: Part = part === "data" ? "vault" : "data";
  throw new UserError(
    starts(other)
      ? `this is the ${other} part of a backup, and the ${part} part is asked for`
      : "this is no backup, or one of another version",
    { file: path },
  );
}

/** @throws UserError where the file was not written by a warehouse with this key */
export function requireAuthentic({ path, manifest, digest, mac }: BackupFile, key: Buffer): void {
  if (timingSafeEqual(mac, macOf(key, manifest.part, digest))) return;
  throw new UserError("the backup was made with another vault, or altered since; its data can't be opened here", {
    file: path,
  });
}

/** The tables of a part, in the manifest's order, each with its COPY data and, after these, its row count. */
export async function* readTables({
  path,
  manifest,
}: BackupFile): AsyncGenerator<{ table: TableDescription; data: AsyncGenerator<Buffer, number> }> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  await file.close();
  const reader = new PieceReader(content(path, manifest.part, size));
  try {
    await reader.piece(LONGEST_MANIFEST);
    for (const table of manifest.tables) yield { table, data: tableData(reader) };
  } finally {
    await reader.end();
  }
}

async function* tableData(reader: PieceReader): AsyncGenerator<Buffer, number> {
  for (;;) {
    const piece = await reader.piece(Number.MAX_SAFE_INTEGER);
    if (piece.length === 0) return Number((await reader.take(8)).readBigUInt64BE());
    yield piece;
  }
}

function content(path: string, part: Part, size: number): AsyncIterable<Buffer> {
  const stream = createReadStream(path, {
    start: magicOf(part).length,
    end: size - TRAILER - 1,
    highWaterMark: 1 << 18,
  });
  const plainBytes = createGunzip({ chunkSize: 1 << 18 });
  stream.on("error", (error) => plainBytes.destroy(error));
  plainBytes.on("close", () => stream.destroy());
  return stream.pipe(plainBytes);
}

function damaged(path: string): UserError {
  return new UserError("the backup is cut short or was altered; take another copy of it", { file: path });
}

/** Takes a stream apart by lengths. */
class PieceReader {
  readonly #source: AsyncIterator<Buffer>;
  #chunks: Buffer[] = [];
  #available = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async piece(longest: number): Promise<Buffer> {
    const length = (await this.take(4)).readUInt32BE();
    if (length > longest) throw new Error("a piece is longer than it can be");
    return await this.take(length);
  }

  async take(length: number): Promise<Buffer> {
    while (this.#available < length) {
      const { done, value } = await this.#source.next();
      if (done) throw new CodedError("internal", "the backup ends too early", { retryable: false });
      this.#chunks.push(value);
      this.#available += value.length;
    }
    const whole = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [whole.subarray(length)];
    this.#available -= length;
    return whole.subarray(0, length);
  }

  async end(): Promise<void> {
    await this.#source.return?.();
  }
}
