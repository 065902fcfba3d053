import { cp, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Format, writeRecords } from "./files.ts";
import { type ShopRecord, type ShopStream, shopStreams, type Sizes } from "./shop.ts";

const PROJECT = fileURLToPath(new URL("./project", import.meta.url));
const MARKER = "generation.json";

/** What a generated folder holds, kept in its `generation.json`. */
export interface Generation {
  seed: number;
  format: Format;
  /** Of the first year. */
  sizes: Sizes;
  /** How many files each stream has at the most. */
  increments: number;
  /** How many items each stream has by now. */
  counts: Record<string, number>;
}

/** What was written: records by stream. */
export type Written = Record<string, number>;

/**
 * Makes a project with data of a shop's first year: `miette.yaml`, schemas, staging models, and one file per stream.
 * Memory does not grow with the sizes; the same arguments give the same bytes.
 * @param directory an empty folder, or one that is not there yet
 */
export async function generateProject(
  directory: string,
  { seed, format, sizes }: Pick<Generation, "seed" | "format" | "sizes">,
): Promise<Written> {
  await mkdir(directory, { recursive: true });
  await cp(PROJECT, directory, { recursive: true });
  const configuration = await readFile(join(PROJECT, "miette.yaml"), "utf8");
  await writeFile(join(directory, "miette.yaml"), configuration.replaceAll("csv", format));
  const streams = shopStreams(seed, sizes);
  const generation: Generation = {
    seed,
    format,
    sizes,
    increments: 1,
    counts: Object.fromEntries(streams.map(({ name, count }) => [name, count])),
  };
  const written = await writeStreams(directory, generation, streams, (stream) => recordsFrom(stream, 0, stream.count));
  await writeMarker(directory, generation);
  return written;
}

/**
 * Adds a file to each stream of a generated project: items that were there before with other content, and new ones.
 * @param shares parts of the items that each stream has by now, from 0 to 1
 */
export async function generateIncrement(
  directory: string,
  shares: { changed: number; added: number },
): Promise<Written> {
  const before = (await readGeneration(directory))!;
  const streams = shopStreams(before.seed, before.sizes);
  const added = (stream: ShopStream): number => Math.round(before.counts[stream.name]! * shares.added);
  const generation: Generation = {
    ...before,
    increments: before.increments + 1,
    counts: Object.fromEntries(streams.map((stream) => [stream.name, before.counts[stream.name]! + added(stream)])),
  };
  const written = await writeStreams(directory, generation, streams, (stream) => {
    const count = before.counts[stream.name]!;
    const changed = stream.isMutable ? Math.round(count * shares.changed) : 0;
    return concatenated(
      changedRecords(stream, count, changed, before.increments),
      recordsFrom(stream, count, count + added(stream)),
    );
  });
  await writeMarker(directory, generation);
  return written;
}

/** What a folder's marker says; null where it has none. */
export async function readGeneration(directory: string): Promise<Generation | null> {
  const text = await readFile(join(directory, MARKER), "utf8").catch(() => null);
  return text === null ? null : (JSON.parse(text) as Generation);
}

async function writeStreams(
  directory: string,
  { format, increments }: Generation,
  streams: ShopStream[],
  recordsOf: (stream: ShopStream) => Iterable<ShopRecord>,
): Promise<Written> {
  const written: Written = {};
  for (const stream of streams) {
    const path = join(directory, "data", stream.name, `${String(increments).padStart(4, "0")}.${format}`);
    const records = recordsOf(stream)[Symbol.iterator]();
    const first = records.next();
    // A file without a record would be one without a header.
    if (first.done) continue;
    written[stream.name] = await writeRecords(
      path,
      format,
      concatenated([first.value], { [Symbol.iterator]: () => records }),
    );
  }
  return written;
}

/** Last, so that a folder without it was cut short. */
async function writeMarker(directory: string, generation: Generation): Promise<void> {
  const path = join(directory, MARKER);
  await writeFile(`${path}.new`, `${JSON.stringify(generation, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

function* recordsFrom(stream: ShopStream, start: number, end: number): Generator<ShopRecord> {
  for (let item = start; item < end; item += 1) yield* stream.records(item, 0);
}

/** Items spread evenly over the stream, so that a change meets pages everywhere; another revision takes others. */
function* changedRecords(stream: ShopStream, count: number, changed: number, revision: number): Generator<ShopRecord> {
  const step = count / changed;
  const shift = (revision * 0.381_966) % 1;
  for (let i = 0; i < changed; i += 1) yield* stream.records(Math.floor((i + shift) * step), revision);
}

function* concatenated<T>(first: Iterable<T>, second: Iterable<T>): Generator<T> {
  yield* first;
  yield* second;
}
