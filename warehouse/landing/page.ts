import { setImmediate } from "node:timers/promises";
import type { Naming } from "../../privacy/tokens.ts";
import type { IncomingPage } from "./land.ts";
import type { StreamPlan } from "./plan.ts";
import type { Rejected } from "./quarantine.ts";
import { isRefused, Occurrences, prepareRecord, versionNumber, type Prepared } from "./record.ts";
import type { Sync } from "./sync.ts";

/** Records that are read at a stretch, some milliseconds. */
const SLICE = 500;

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
}

/** Reads a page's records by the stream's schema, cuts them to the sync's window, and finds the newest of each key. */
export async function preparePage(
  naming: Naming,
  sync: Sync,
  plan: StreamPlan,
  page: IncomingPage,
): Promise<StreamPage> {
  const { name } = plan.stream;
  const records = page.records[name] ?? [];
  const occurrences = sync.occurrences.get(name) ?? new Occurrences();
  const rejected: Rejected[] = (page.rejects ?? [])
    .filter(({ stream }) => stream === name)
    .map(({ reason, pointer, raw }) => ({ plan, reason, pointer, recordKey: null, received: raw }));
  const read = records.length + rejected.length;
  const isInWindow = windowTest(sync);
  const newest = new Map<string, Prepared>();
  const superseded: Prepared[] = [];
  for (const [index, record] of records.entries()) {
    // The page before is landing meanwhile: what the database answers is not kept waiting.
    if (index % SLICE === SLICE - 1) await setImmediate();
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
    const other = newest.get(result.recordKey);
    if (!other) {
      newest.set(result.recordKey, result);
    } else if (other.contentHash !== result.contentHash) {
      const [newer, older] = isNewer(plan, result, other) ? [result, other] : [other, result];
      newest.set(result.recordKey, newer);
      superseded.push(older);
    }
  }
  return {
    plan,
    read,
    current: [...newest.values()],
    superseded,
    rejected,
    rejectedKeys: rejected.flatMap(({ recordKey }) => (recordKey === null ? [] : [recordKey])),
  };
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

function windowTest({ window }: Sync): (value: string | null) => boolean {
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
