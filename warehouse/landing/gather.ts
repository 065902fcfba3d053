import { Newest, type PreparedPage, type StreamPage } from "./page.ts";

/** A page is parsed and read in this many slices. */
const SLICES = 10;
/** A page of large records is closed before it is full. */
const MOST_CHARACTERS = 8 * 1024 * 1024;

/** How much of a page a slice is: records received, and characters of text. */
export interface SliceSize {
  records: number;
  characters: number;
}

/** Records of a slice: few enough that most of what is made of one is nobody's when the collector comes by. */
export function sliceSize(pageSize: number): number {
  return Math.ceil(pageSize / SLICES);
}

/** Takes slices, in their order, until together they are a page. */
export async function* gather<T>(
  slices: AsyncIterable<T>,
  pageSize: number,
  sizeOf: (slice: T) => SliceSize,
): AsyncGenerator<T[]> {
  let page: T[] = [];
  let [records, characters] = [0, 0];
  for await (const slice of slices) {
    page.push(slice);
    const size = sizeOf(slice);
    records += size.records;
    characters += size.characters;
    if (records < pageSize && characters < MOST_CHARACTERS) continue;
    yield page;
    page = [];
    [records, characters] = [0, 0];
  }
  if (page.length > 0) yield page;
}

/** The size of a slice that has been read by the schemas. */
export function preparedSize({ streams }: PreparedPage): SliceSize {
  const size = { records: 0, characters: 0 };
  for (const { read, current, superseded } of streams) {
    size.records += read;
    for (const records of [current, superseded]) {
      for (const { values } of records) for (const value of values) size.characters += value?.length ?? 0;
    }
  }
  return size;
}

/** One page of its slices, all of the same streams: of two records with one key the newer one is current. */
export function joinSlices(slices: PreparedPage[]): PreparedPage {
  const [first, last] = [slices[0] as PreparedPage, slices.at(-1) as PreparedPage];
  if (first === last) return first;
  const streams = first.streams.map((_, index) =>
    joinStream(slices.map((slice) => slice.streams[index] as StreamPage)),
  );
  return { streams, cursor: last.cursor };
}

function joinStream(parts: StreamPage[]): StreamPage {
  const { plan } = parts[0] as StreamPage;
  const newest = new Newest(plan);
  for (const { current } of parts) for (const record of current) newest.add(record);
  return {
    plan,
    read: parts.reduce((sum, { read }) => sum + read, 0),
    current: newest.current(),
    superseded: [...parts.flatMap(({ superseded }) => superseded), ...newest.superseded],
    rejected: parts.flatMap(({ rejected }) => rejected),
    rejectedKeys: parts.flatMap(({ rejectedKeys }) => rejectedKeys),
  };
}
