import type { Json } from "../../domain/streams.ts";
import { parseJson } from "../../domain/json.ts";
import { canonicalJson } from "./json-text.ts";
import type { PreparedPage, StreamPage } from "./page.ts";
import type { StreamPlan } from "./plan.ts";
import { receivedText, type Rejected } from "./quarantine.ts";
import type { Prepared } from "./record.ts";

/**
 * A prepared page as it goes from thread to thread: all texts of its records in one, cut up again by their lengths. A
 * structured clone of the records themselves takes several times as long.
 */
export interface PackedPage {
  streams: PackedStream[];
  cursor: Json;
}

interface PackedStream {
  name: string;
  read: number;
  current: PackedRecords;
  superseded: PackedRecords;
  rejected: (Omit<Rejected, "plan" | "received"> & { received: string; isJson: boolean })[];
  rejectedKeys: string[];
}

interface PackedRecords {
  count: number;
  text: string;
  /** Of each text of each record, in characters; -1: null. */
  lengths: Int32Array;
}

/** Texts of a record before its values: key, content hash, version, undeclared fields. */
const FIRST = 4;

export function packPage({ streams, cursor }: PreparedPage): PackedPage {
  return {
    cursor,
    streams: streams.map(({ plan, read, current, superseded, rejected, rejectedKeys }) => ({
      name: plan.stream.name,
      read,
      current: packRecords(plan, current),
      superseded: packRecords(plan, superseded),
      rejected: rejected.map(({ reason, pointer, recordKey, received }) => {
        const isJson = typeof received !== "string";
        return { reason, pointer, recordKey, received: isJson ? receivedText(received) : received, isJson };
      }),
      rejectedKeys,
    })),
  };
}

/** The buffers of a packed page, which are handed over and not copied. */
export function buffersOf({ streams }: PackedPage): ArrayBuffer[] {
  return streams.flatMap(({ current, superseded }) => [
    current.lengths.buffer as ArrayBuffer,
    superseded.lengths.buffer as ArrayBuffer,
  ]);
}

/** The page that was packed; the plans are this side's own, of the same streams. */
export function unpackPage({ streams, cursor }: PackedPage, plans: ReadonlyMap<string, StreamPlan>): PreparedPage {
  return {
    cursor,
    streams: streams.map(({ name, read, current, superseded, rejected, rejectedKeys }): StreamPage => {
      const plan = plans.get(name) as StreamPlan;
      return {
        plan,
        read,
        current: unpackRecords(plan, current),
        superseded: unpackRecords(plan, superseded),
        rejected: rejected.map(({ reason, pointer, recordKey, received, isJson }) => ({
          plan,
          reason,
          pointer,
          recordKey,
          received: isJson ? (parseJson(received) as Record<string, unknown>) : received,
        })),
        rejectedKeys,
      };
    }),
  };
}

function packRecords({ fields }: StreamPlan, records: readonly Prepared[]): PackedRecords {
  const lengths = new Int32Array(records.length * (FIRST + fields.length));
  const texts: string[] = [];
  let at = 0;
  const add = (text: string | null): void => {
    lengths[at++] = text === null ? -1 : text.length;
    if (text !== null) texts.push(text);
  };
  for (const { recordKey, contentHash, version, undeclared, values } of records) {
    add(recordKey);
    add(contentHash);
    add(version);
    add(undeclared === null ? null : canonicalJson(undeclared));
    for (const value of values) add(value);
  }
  return { count: records.length, text: texts.join(""), lengths };
}

function unpackRecords({ fields }: StreamPlan, { count, text, lengths }: PackedRecords): Prepared[] {
  const records: Prepared[] = [];
  let at = 0;
  let from = 0;
  const take = (): string | null => {
    const length = lengths[at++] as number;
    if (length < 0) return null;
    from += length;
    return text.slice(from - length, from);
  };
  for (let index = 0; index < count; index += 1) {
    const recordKey = take() as string;
    const contentHash = take() as string;
    const version = take();
    const undeclared = take();
    const values: (string | null)[] = [];
    for (let field = 0; field < fields.length; field += 1) values.push(take());
    records.push({
      recordKey,
      contentHash,
      version,
      values,
      undeclared: undeclared === null ? null : (parseJson(undeclared) as Record<string, unknown>),
      // Pages are cut to the window before they are packed.
      window: null,
    });
  }
  return records;
}
