import { open, type FileHandle } from "node:fs/promises";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { ConnectorError, Rejected, Unavailable } from "../errors.ts";
import { createDecoder, type Encoding } from "./decode.ts";
import { fileError, type FoundFile, type Seal } from "./find.ts";

const CHUNK_BYTES = 256 * 1024;
/**
 * Deflate packs to a 1,030th at best, tables of text to a tenth, dull ones to a hundredth. What unpacks further, and to
 * more than this, is most likely meant to fill disks.
 */
const MOST_RATIO = 200;
const TRUSTED_BYTES = 256 * 1024 * 1024;

/** What files may be packed with, by their first bytes. Only gzip is unpacked. */
const PACKINGS: Record<string, number[]> = {
  gzip: [0x1f, 0x8b],
  zip: [0x50, 0x4b, 0x03, 0x04],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

export interface OpenFile {
  /** As it was when the file was opened. */
  seal: Seal;
  /**
   * The file's text in chunks of about 256 kB, unpacked where it is gzip by its first bytes, whatever its name, so that
   * memory stays bounded however far it unpacks.
   * @throws Rejected where bytes don't fit the encoding, or gzip is broken off; Unavailable where the file changes meanwhile
   */
  text(): AsyncGenerator<string>;
  close(): Promise<void>;
}

export async function openText(file: FoundFile, encoding: Encoding): Promise<OpenFile> {
  const { handle, seal } = await openHandle(file);
  return { seal, text: () => readText(handle, { ...file, seal }, encoding), close: () => handle.close() };
}

async function openHandle(file: FoundFile): Promise<{ handle: FileHandle; seal: Seal }> {
  try {
    const handle = await open(file.path);
    return { handle, seal: await sealOf(handle) };
  } catch (error) {
    throw fileError(file.name, error);
  }
}

async function sealOf(handle: FileHandle): Promise<Seal> {
  const { size, mtimeMs } = await handle.stat();
  return [size, mtimeMs];
}

async function* readText(handle: FileHandle, file: FoundFile, encoding: Encoding): AsyncGenerator<string> {
  const head = Buffer.alloc(4);
  await handle.read(head, 0, 4, 0).catch((error: unknown) => Promise.reject(fileError(file.name, error)));
  const isGzip = packingOf(head) === "gzip";
  let decoder: ReturnType<typeof createDecoder> | undefined;
  let length = 0;
  try {
    for await (const bytes of wholeHead(isGzip ? unpack(readBytes(handle)) : readBytes(handle))) {
      if (decoder === undefined) {
        checkPacking(bytes, isGzip, file.name);
        decoder = createDecoder(encoding, bytes, file.name);
      }
      length += bytes.length;
      if (isGzip && length > TRUSTED_BYTES && length > MOST_RATIO * file.seal[0]) {
        throw new Rejected(
          `${file.name} line ${decoder.line}: the gzip data unpack to more than ${MOST_RATIO} times their size; if that is right, unpack the file beforehand`,
        );
      }
      yield decoder.decode(bytes);
    }
    if (decoder) yield decoder.end();
  } catch (error) {
    if (error instanceof ConnectorError) throw error;
    if (!String((error as NodeJS.ErrnoException).code).startsWith("Z_")) throw fileError(file.name, error);
    const [what, mend] =
      (error as NodeJS.ErrnoException).code === "Z_BUF_ERROR"
        ? ["breaks off", "fetch the whole file"]
        : ["is damaged", "fetch the file again"];
    throw new Rejected(`${file.name} line ${decoder?.line ?? 1}: the gzip data ${what} here; ${mend}`);
  }
  const [size, mtimeMs] = await sealOf(handle);
  if (size !== file.seal[0] || mtimeMs !== file.seal[1]) {
    throw new Unavailable(`${file.name} changed while it was read; it is read again from its start`);
  }
}

function packingOf(head: Buffer): string | undefined {
  return Object.keys(PACKINGS).find((name) => PACKINGS[name]?.every((byte, index) => head[index] === byte));
}

/** Text begins with none of these bytes; without this, the first that is not UTF-8 would be told, and mislead. */
function checkPacking(bytes: Buffer, isUnpacked: boolean, name: string): void {
  const packing = packingOf(bytes);
  if (packing === undefined) return;
  const what = isUnpacked ? `the gzip data hold ${packing} data again` : `this is a ${packing} file`;
  throw new Rejected(`${name} line 1: ${what}; unpack it, or pack it with gzip once`);
}

async function* readBytes(handle: FileHandle): AsyncGenerator<Buffer> {
  for (let position = 0; ;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* unpack(bytes: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // What breaks is thrown by the loop below; the callback only lets pipeline take the streams down.
  pipeline(Readable.from(bytes), gunzip, () => undefined);
  for await (const chunk of gunzip) yield chunk as Buffer;
}

/** The same bytes, the first chunk long enough for a byte order mark. */
async function* wholeHead(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let head: Buffer | null = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (head === null) yield chunk;
    else {
      head = Buffer.concat([head, chunk]);
      if (head.length < 4) continue;
      yield head;
      head = null;
    }
  }
  if (head !== null && head.length > 0) yield head;
}
