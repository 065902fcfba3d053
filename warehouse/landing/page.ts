import { setImmediate } from "node:timers/promises";
import type { RecordNaming } from "../../privacy/tokens.ts";
import type { Ahead } from "./ahead.ts";
import type { StreamPlan } from "./plan.ts";
import type { Rejected } from "./quarantine.ts";
import { isRefused, Occurrences, prepareRecord, versionNumber, type Prepared } from "./record.ts";
import type { Json } from "../../domain/streams.ts";

/** Records that are read at a stretch, some milliseconds. */
const STRETCH = 250;

/** What a connector's page brings, by stream. */
export interface IncomingPage {
  records: Record<string, Record<string, unknown>[]>;
  rejects?: { stream: string; reason: string; pointer: string; raw: string }[];
  cursor: Json;
  goesOn?: true;
  part?: string;
}

/** A page whose records are read by their schemas. */
export interface PreparedPage {
  streams: StreamPage[];
  cursor: Json;
  /** Whether it is a slice, and its page goes on with the next. */
  goesOn: boolean;
}

/** How the records of a sync are read: by which plans, and within which span of the streams' window field. */
export interface Reading {
  plans: ReadonlyMap<string, StreamPlan>;
  window: { from?: string; to?: string } | null;
}

/** A stream's share of a page, read by its schema. */
export interface StreamPage {
  plan: StreamPlan;
  /** Records received, rejected ones included. */
  read: number;
  /** One record per key: the newest of the page. */
  current: Prepared[];
  /** Older versions of those. */
  superseded: Prepared[];
  rejected: Rejected[];
  /** Keys of rejected records, which a snapshot must not take for gone. */
  rejectedKeys: string[];
  ahead?: Ahead;
}

/**
 * Reads pages by the schemas of their streams: cuts them to the window, and finds the newest record of each key. One
 * reader for all pages of a sync, since keyless records are counted over the pages of their part.
 */
export async function* preparePages(
  naming: RecordNaming,
  { plans, window }: Reading,
  pages: AsyncIterable<IncomingPage>,
): AsyncGenerator<PreparedPage> {
  const occurrences = new Map([...plans.keys()].map((name) => [name, new Occurrences()]));
  for await (const page of pages) {
    const streams: StreamPage[] = [];
    for (const [name, plan] of plans) {
      streams.push(await prepareStream(naming, plan, occurrences.get(name) as Occurrences, window, page));
    }
    yield { streams, cursor: page.cursor, goesOn: page.goesOn === true };
  }
}

async function prepareStream(
  naming: RecordNaming,
  plan: StreamPlan,
  occurrences: Occurrences,
  window: Reading["window"],
  page: IncomingPage,
): Promise<StreamPage> {
  const { name } = plan.stream;
  const records = page.records[name] ?? [];
  const rejected: Rejected[] = (page.rejects ?? [])
    .filter(({ stream }) => stream === name)
    .map(({ reason, pointer, raw }) => ({ plan, reason, pointer, recordKey: null, received: raw }));
  const read = records.length + rejected.length;
  const isInWindow = windowTest(window);
  const newest = new Newest(plan);
  for (const [index, record] of records.entries()) {
    // The page before is landing meanwhile: what the database answers is not kept waiting.
    if (index % STRETCH === STRETCH - 1) await setImmediate();
    const result = prepareRecord(plan, naming, record, { part: page.part, occurrences });
    if (isRefused(result)) {
      rejected.push({
        plan,
        reason: result.reason,
        pointer: result.pointer,
        recordKey: result.recordKey,
        received: record,
      });
      continue;
    }
    if (plan.window !== null && !isInWindow(result.window)) continue;
    newest.add(result);
  }
  return {
    plan,
    read,
    current: newest.current(),
    superseded: newest.superseded,
    rejected,
    rejectedKeys: rejected.flatMap(({ recordKey }) => (recordKey === null ? [] : [recordKey])),
  };
}

/** Finds the newest record of each key among records as they arrive. */
export class Newest {
  readonly #plan: StreamPlan;
  readonly #byKey = new Map<string, Prepared>();
  /** Older versions of those, which differ from them. */
  readonly superseded: Prepared[] = [];

  constructor(plan: StreamPlan) {
    this.#plan = plan;
  }

  add(record: Prepared): void {
    const other = this.#byKey.get(record.recordKey);
    if (other === undefined) {
      this.#byKey.set(record.recordKey, record);
    } else if (other.contentHash !== record.contentHash) {
      const [newer, older] = isNewer(this.#plan, record, other) ? [record, other] : [other, record];
      this.#byKey.set(record.recordKey, newer);
      this.superseded.push(older);
    }
  }

  current(): Prepared[] {
    return [...this.#byKey.values()];
  }
}

/** `candidate` arrived after `other`. */
function isNewer(plan: StreamPlan, candidate: Prepared, other: Prepared): boolean {
  if (plan.version === null && plan.stream.mode !== "append") return true;
  const order = compareVersions(candidate.version, other.version);
  return order === 0 ? candidate.contentHash > other.contentHash : order > 0;
}

/** A null version is older than any. */
function compareVersions(a: string | null, b: string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (/^-?\d+$/.test(a) && /^-?\d+$/.test(b)) {
    const [left, right] = [BigInt(a), BigInt(b)];
    return left === right ? 0 : left > right ? 1 : -1;
  }
  return Number(a) - Number(b);
}

function windowTest(window: Reading["window"]): (value: string | null) => boolean {
  if (!window) return () => true;
  const from = bound(window.from, Number.NEGATIVE_INFINITY);
  const to = bound(window.to, Number.POSITIVE_INFINITY);
  return (value) => {
    const at = Number(versionNumber(value) ?? Number.NaN);
    return at >= from && at < to;
  };
}

/** Microseconds since 1970, like a version. */
function bound(text: string | undefined, absent: number): number {
  return text === undefined ? absent : Date.parse(text) * 1000;
}
