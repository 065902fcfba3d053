import type { Bench } from "./bench.ts";

/** What a row of the table measures: a file in `rows/`, and a line in its index. */
export interface Row {
  /** What it measures, in a few words. */
  title: string;
  /** What to reach first, and what after that, in words: `0.30 of R in 300 MB`. */
  goals: { first: string; summit: string };
  measure(bench: Bench): Promise<Figure[]>;
}

/** One line of the results. */
export interface Figure {
  what: string;
  /** Of each run, in the order of the runs. */
  seconds: number[];
  /** Records that one run goes through; null where a rate says nothing. */
  records: number | null;
  /** What the same work takes without us, measured in turn with ours. */
  reference: { what: string; seconds: number[] } | null;
  /** The greatest resident memory of the worker while it ran, in bytes; null where the system does not tell it. */
  peakMemory: number | null;
  /** A sentence on what the figure holds, or null. */
  note: string | null;
}

/** A figure that runs are to be added to. */
export function emptyFigure(what: string, records: number | null): Figure {
  return { what, seconds: [], records, reference: null, peakMemory: null, note: null };
}

/** The middle of the values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new RangeError("no values");
  return sorted.length % 2 === 1 ? upper : (upper + sorted[middle - 1]!) / 2;
}

/** Seconds that `work` takes, and what it returns. */
export async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  const start = performance.now();
  const result = await work();
  return { seconds: (performance.now() - start) / 1000, result };
}

/** Throws where a measured run did not do what it is measured for: a figure of wrong work is worth nothing. */
export function requireEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}
