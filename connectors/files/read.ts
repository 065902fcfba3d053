import type { Json } from "../../domain/streams.ts";
import type { Page, ReadOptions, ReadStream, ShareOptions, SourceOptions } from "../connector.ts";
import { Rejected } from "../errors.ts";
import type { Encoding } from "./decode.ts";
import { findFiles, type FoundFile, type Seal } from "./find.ts";
import { PageBuilder, type FilesCursor } from "./pages.ts";
import type { CreateParser } from "./parser.ts";
import { openText } from "./text.ts";

/** Files of one format: what `path` of the config names, and how their text becomes records. */
export interface Files {
  path: string;
  encoding: Encoding;
  createParser: CreateParser;
}

/**
 * The pages of a stream that lies in files, in the order of the files' names. Files that were read to their end and have
 * not changed since (size and time of change) are passed over; a changed one is read again whole. Within a file, reading
 * goes on after the rows of the last page: they are parsed and passed over, which a gzip would ask for in any case.
 * @throws Rejected where nothing matches, unless the pattern did match in an earlier sync: then its files went away since
 */
export async function* readFiles(
  { path, encoding, createParser }: Files,
  stream: ReadStream,
  cursor: Json | null,
  options: ReadOptions,
): AsyncGenerator<Page> {
  const { signal } = options;
  signal.throwIfAborted();
  const { current, only } = readCursor(cursor);
  const { known, unread } = await findUnread(path, cursor, options);
  const pages = new PageBuilder(stream, options, known, only);
  for (const file of unread) {
    const opened = await openText(file, encoding);
    try {
      const isHalfRead = current?.file === file.name && isSame(current.seal, opened.seal);
      pages.beginFile(file.name, opened.seal, isHalfRead && stream.key !== null ? current.rows : 0);
      const parser = createParser(file.name, pages);
      for await (const text of opened.text()) {
        signal.throwIfAborted();
        parser.push(text);
        yield* untilAborted(pages.take(), signal);
      }
      parser.end();
      pages.endFile();
      yield* untilAborted(pages.take(), signal);
    } finally {
      await opened.close();
    }
  }
  if (unread.length > 0 && stream.key !== null) pages.close();
  yield* untilAborted(pages.take(), signal);
}

/**
 * Deals the unread files out to shares of about the same size.
 * @returns the cursor of each share; none where fewer than two would have `leastBytes`
 */
export async function splitFiles(path: string, cursor: Json | null, options: ShareOptions): Promise<Json[]> {
  const { current } = readCursor(cursor);
  const { unread } = await findUnread(path, cursor, options);
  const bytes = unread.reduce((sum, { seal: [size] }) => sum + size, 0);
  const count = Math.min(options.most, unread.length, Math.floor(bytes / options.leastBytes));
  if (count < 2) return [];
  const shares = Array.from({ length: count }, () => ({ bytes: 0, only: [] as string[] }));
  for (const { name, seal } of unread.toSorted((a, b) => b.seal[0] - a.seal[0])) {
    const least = shares.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.bytes += seal[0];
    least.only.push(name);
  }
  return shares.map(({ only }): Json => {
    const share: FilesCursor = { files: {}, only };
    if (current && only.includes(current.file)) share.current = current;
    return share as unknown as Json;
  });
}

/** A file that a share has read in part is read again whole: what was landed of it turns out unchanged. */
export function joinFiles(cursor: Json | null, shares: Json[]): Json {
  const files = Object.assign({}, ...[cursor, ...shares].map((each) => readCursor(each).files)) as FilesCursor["files"];
  return { files } as unknown as Json;
}

function readCursor(cursor: Json | null): FilesCursor {
  return { files: {}, ...(cursor as unknown as Partial<FilesCursor> | null) };
}

async function findUnread(
  path: string,
  cursor: Json | null,
  options: SourceOptions,
): Promise<{ known: Map<string, Seal>; unread: FoundFile[] }> {
  const { files: read, only } = readCursor(cursor);
  const found = await findFiles(path, options);
  if (found.length === 0 && Object.keys(read).length === 0) throw nothingMatches(path, options.directory);
  const files = only ? found.filter(({ name }) => only.includes(name)) : found;
  const there = new Set(files.map(({ name }) => name));
  const known = new Map(Object.entries(read).filter(([name]) => there.has(name)));
  return { known, unread: files.filter(({ name, seal }) => !isSame(known.get(name), seal)) };
}

function* untilAborted(pages: Page[], signal: AbortSignal): Generator<Page> {
  for (const page of pages) {
    signal.throwIfAborted();
    yield page;
  }
  signal.throwIfAborted();
}

export function nothingMatches(path: string, directory: string): Rejected {
  return new Rejected(`no file in ${directory} matches ${path}; correct "path" or put the files there`);
}

function isSame(a: Seal | undefined, b: Seal): boolean {
  return a !== undefined && a[0] === b[0] && a[1] === b[1];
}
