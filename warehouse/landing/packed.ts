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
  goesOn: boolean;
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

export function packPage({ streams, cursor, goesOn }: PreparedPage): PackedPage {
  return {
    cursor,
    goesOn,
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
export function unpackPage(
  { streams, cursor, goesOn }: PackedPage,
  plans: ReadonlyMap<string, StreamPlan>,
): PreparedPage {
  return {
    cursor,
    goesOn,
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

function unpackRecords({ fields }: StreamPlan, packed: PackedRecords): Prepared[] {
  const records: Prepared[] = [];
  let from = 0;
  for (let index = 0; index < packed.count; index += 1) {
    const record = new PackedRecord(packed, index * (FIRST + fields.length), from, fields.length);
    records.push(record);
    from = record.end;
  }
  return records;
}

/** A record whose values are cut from the page's text each time they are asked for: until then they take no room. */
class PackedRecord implements Prepared {
  readonly recordKey: string;
  readonly contentHash: string;
  readonly version: string | null;
  readonly undeclared: Record<string, unknown> | null;
  /** Pages are cut to the window before they are packed. */
  readonly window = null;
  readonly #packed: PackedRecords;
  /** Where the lengths of its values begin, and where their text does. */
  readonly #at: number;
  readonly #from: number;
  readonly #fields: number;

  constructor(packed: PackedRecords, at: number, from: number, fields: number) {
    const { text, lengths } = packed;
    const hashAt = from + (lengths[at] as number);
    const versionAt = hashAt + (lengths[at + 1] as number);
    const undeclaredAt = versionAt + Math.max(0, lengths[at + 2] as number);
    const end = undeclaredAt + Math.max(0, lengths[at + 3] as number);
    this.recordKey = text.slice(from, hashAt);
    this.contentHash = text.slice(hashAt, versionAt);
    this.version = (lengths[at + 2] as number) < 0 ? null : text.slice(versionAt, undeclaredAt);
    this.undeclared =
      (lengths[at + 3] as number) < 0 ? null : (parseJson(text.slice(undeclaredAt, end)) as Record<string, unknown>);
    this.#packed = packed;
    this.#at = at + FIRST;
    this.#from = end;
    this.#fields = fields;
  }

  /** Where the text of the record that follows begins. */
  get end(): number {
    let end = this.#from;
    for (let field = 0; field < this.#fields; field += 1)
      end += Math.max(0, this.#packed.lengths[this.#at + field] as number);
    return end;
  }

  get values(): (string | null)[] {
    const { text, lengths } = this.#packed;
    const values: (string | null)[] = [];
    let from = this.#from;
    for (let field = 0; field < this.#fields; field += 1) {
      const length = lengths[this.#at + field] as number;
      values.push(length < 0 ? null : text.slice(from, (from += length)));
    }
    return values;
  }
}
