import { ByteDictionary } from "./byte-dictionary.ts";
import { ByteList, type ByteSink } from "./byte-list.ts";
import { ascending, sortByKey } from "./counting-sort.ts";
import { Int32List } from "./int32-list.ts";

const UNDERSCORE = 0x5f;

/**
 * Records and their identifiers. Identifiers are numbered canonically, by the priority of their kind and then by their
 * token: a smaller number means a stronger identifier, and the numbers depend on the set of records alone. Records are
 * numbered as they came; what depends on their order compares their keys.
 */
export interface CanonicalRecords {
  /** Number of the kind of each identifier: its place among the rules. */
  kindOf: Uint16Array;
  /** Identifiers of record r: `identifiers` from `offsets[r]` to `offsets[r + 1]`, ascending and distinct. */
  offsets: Int32Array;
  identifiers: Int32Array;
  /** When each identifier was first seen, in seconds since 1970; NaN where no record says. */
  firstSeen: Float64Array;
  /** The bytes of an identifier's token, without a copy. */
  token(identifier: number): Buffer;
  writeToken(sink: ByteSink, identifier: number): void;
  recordKey(record: number): Buffer;
  writeRecordKey(sink: ByteSink, record: number): void;
  /** Orders two records by their keys. */
  compareRecords(a: number, b: number): number;
  /** The number of a token, or -1 if no record carries it. */
  find(token: Uint8Array): number;
}

/** Gathers records in any order, in any number of pieces, and as often as they come. */
export class RecordCollector {
  readonly #kinds: readonly Buffer[];
  readonly #keys = new ByteDictionary();
  readonly #tokens: ByteDictionary[];
  /** One entry per identifier on a record: the record, and the number within its kind times kinds plus the kind. */
  readonly #records = new Int32List();
  readonly #carried = new Int32List();
  /** When each identifier of a kind was first seen. */
  readonly #seenAt: Float64Array[];
  #isInPieces = false;
  #isApart = false;

  /** @param kinds identifier kinds, strongest first; tokens of other kinds are left out */
  constructor(kinds: readonly string[]) {
    this.#kinds = kinds.map((kind) => Buffer.from(kind, "latin1"));
    this.#tokens = kinds.map(() => new ByteDictionary());
    this.#seenAt = kinds.map(() => new Float64Array(16).fill(Number.NaN));
  }

  /** Says that from here to the next call no record comes twice. */
  beginPart(): void {
    this.#isApart = true;
    this.#keys.index();
  }

  /** Registers a record by the bytes of its key from `start` to `end`; returns a number for `addIdentifier`. */
  addRecord(source: Uint8Array, start: number, end: number): number {
    const known = this.#keys.size;
    const record = this.#isApart ? this.#keys.addOnce(source, start, end) : this.#keys.add(source, start, end);
    if (record < known - 1) this.#isInPieces = true;
    return record;
  }

  /**
   * Adds the token in the bytes from `start` to `end` to a record.
   * @param seenAt when the record happened, in seconds since 1970, or NaN
   */
  addIdentifier(record: number, source: Buffer, start: number, end: number, seenAt = Number.NaN): void {
    const kind = this.#kindOf(source, start, end);
    if (kind === -1) return;
    const entry = this.#tokens[kind]!.add(source, start, end);
    this.#records.push(record);
    this.#carried.push(entry * this.#kinds.length + kind);
    if (!Number.isNaN(seenAt)) this.#see(kind, entry, seenAt);
  }

  /** Numbers what was gathered; the collector is not used after. */
  finish(): CanonicalRecords {
    const kinds = this.#kinds.length;
    const firstOfKind = [0];
    const numbers: Int32Array[] = [];
    const tokens = new ByteList();
    for (const [kind, dictionary] of this.#tokens.entries()) {
      const order = dictionary.sorted(this.#kinds[kind]!.length + 1);
      tokens.appendAll(dictionary, order);
      numbers.push(inverse(order, firstOfKind[kind]!));
      firstOfKind.push(firstOfKind[kind]! + order.length);
    }
    const kindOf = new Uint16Array(tokens.size);
    for (let kind = 0; kind < kinds; kind++) kindOf.fill(kind, firstOfKind[kind]!, firstOfKind[kind + 1]!);
    const carried = this.#carried.view();
    for (let i = 0; i < carried.length; i++)
      carried[i] = numbers[carried[i]! % kinds]![Math.floor(carried[i]! / kinds)]!;

    const keys = this.#keys;
    return {
      kindOf,
      ...groupByRecord(this.#records.view(), carried, keys.size, this.#isInPieces),
      firstSeen: this.#firstSeen(numbers, tokens.size),
      token: (identifier) => tokens.bytes(identifier),
      writeToken: (sink, identifier) => tokens.writeTo(sink, identifier),
      recordKey: (record) => keys.bytes(record),
      writeRecordKey: (sink, record) => keys.writeTo(sink, record),
      compareRecords: (a, b) => keys.compare(a, b),
      find: (token) => {
        const bytes = Buffer.from(token.buffer, token.byteOffset, token.byteLength);
        const kind = this.#kindOf(bytes, 0, bytes.length);
        const entry = kind === -1 ? -1 : this.#tokens[kind]!.find(bytes, 0, bytes.length);
        return entry === -1 ? -1 : numbers[kind]![entry]!;
      },
    };
  }

  /** The kind that stands before the last underscore, or -1 for one that is not listed. */
  #kindOf(source: Uint8Array, start: number, end: number): number {
    let at = end - 1;
    while (at > start && source[at] !== UNDERSCORE) at--;
    const length = at - start;
    next: for (let kind = 0; kind < this.#kinds.length; kind++) {
      const name = this.#kinds[kind]!;
      if (name.length !== length) continue;
      for (let i = 0; i < length; i++) if (source[start + i] !== name[i]) continue next;
      return kind;
    }
    return -1;
  }

  #see(kind: number, entry: number, seenAt: number): void {
    let times = this.#seenAt[kind]!;
    if (entry >= times.length) {
      const wider = new Float64Array(Math.max(times.length * 2, entry + 1)).fill(Number.NaN, times.length);
      wider.set(times);
      times = this.#seenAt[kind] = wider;
    }
    if (!(times[entry]! <= seenAt)) times[entry] = seenAt;
  }

  #firstSeen(numbers: Int32Array[], identifierCount: number): Float64Array {
    const firstSeen = new Float64Array(identifierCount).fill(Number.NaN);
    for (const [kind, times] of this.#seenAt.entries()) {
      const ofKind = numbers[kind]!;
      const known = Math.min(times.length, ofKind.length);
      for (let entry = 0; entry < known; entry++) firstSeen[ofKind[entry]!] = times[entry]!;
    }
    return firstSeen;
  }
}

function inverse(order: Int32Array, first: number): Int32Array {
  const positions = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) positions[order[i]!] = first + i;
  return positions;
}

/** Lists each record's distinct identifiers in ascending order, record after record. */
function groupByRecord(
  records: Int32Array,
  carried: Int32Array,
  recordCount: number,
  isInPieces: boolean,
): { offsets: Int32Array; identifiers: Int32Array } {
  // Records that came whole lie one after another already.
  const order = isInPieces ? sortByKey(ascending(records.length), records, recordCount) : null;
  const offsets = new Int32Array(recordCount + 1);
  const identifiers = new Int32Array(records.length);
  let written = 0;
  let record = 0;
  for (let n = 0; n < records.length; n++) {
    const i = order ? order[n]! : n;
    while (record < records[i]!) offsets[++record] = written;
    written = insert(identifiers, offsets[record]!, written, carried[i]!);
  }
  while (record < recordCount) offsets[++record] = written;
  return { offsets, identifiers: identifiers.subarray(0, written) };
}

/** Inserts a value into the ascending run from `start` to `end`, unless it is there; returns the new end. */
function insert(values: Int32Array, start: number, end: number, value: number): number {
  let at = end;
  while (at > start && values[at - 1]! > value) at--;
  if (at > start && values[at - 1] === value) return end;
  if (at < end) values.copyWithin(at + 1, at, end);
  values[at] = value;
  return end + 1;
}
