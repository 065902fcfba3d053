import { open, type FileHandle } from "node:fs/promises";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { ConnectorError, Rejected, Unavailable } from "../errors.ts";
import { createDecoder, type Encoding } from "./decode.ts";
import { fileError, type FoundFile, type Seal } from "./find.ts";

const CHUNK_BYTES = 256 * 1024;

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
  const head = Buffer.alloc(2);
  await handle.read(head, 0, 2, 0).catch((error: unknown) => Promise.reject(fileError(file.name, error)));
  const isGzip = head[0] === 0x1f && head[1] === 0x8b;
  let decoder: ReturnType<typeof createDecoder> | undefined;
  try {
    for await (const bytes of wholeHead(isGzip ? unpack(readBytes(handle)) : readBytes(handle))) {
      decoder ??= createDecoder(encoding, bytes, file.name);
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
      if (head.length < 3) continue;
      yield head;
      head = null;
    }
  }
  if (head !== null && head.length > 0) yield head;
}
