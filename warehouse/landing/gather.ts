import { Newest, type PreparedPage, type StreamPage } from "./page.ts";

/** The slices of each page together, in their order. */
export async function* gather<T extends { goesOn: boolean }>(slices: AsyncIterable<T>): AsyncGenerator<T[]> {
  let page: T[] = [];
  for await (const slice of slices) {
    page.push(slice);
    if (slice.goesOn) continue;
    yield page;
    page = [];
  }
}

/** One page of its slices, all of the same streams: of two records with one key the newer one is current. */
export function joinSlices(slices: PreparedPage[]): PreparedPage {
  const [first, last] = [slices[0] as PreparedPage, slices.at(-1) as PreparedPage];
  if (first === last) return first;
  const streams = first.streams.map((_, index) =>
    joinStream(slices.map((slice) => slice.streams[index] as StreamPage)),
  );
  return { streams, cursor: last.cursor, goesOn: false };
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
