import { ByteDictionary } from "./byte-dictionary.ts";
import { ByteList } from "./byte-list.ts";
import { ascending, sortByKey } from "./counting-sort.ts";
import { Int32List } from "./int32-list.ts";

const UNDERSCORE = 0x5f;

/**
 * Records and their identifiers, numbered canonically: identifiers by the priority of their kind and then by their token,
 * records by their key. The numbers depend on the set of records alone, and a smaller one means a stronger identifier.
 */
export interface CanonicalRecords {
  /** Number of the kind of each identifier: its place among the rules. */
  kindOf: Uint16Array;
  /** Identifiers of record r: `identifiers` from `offsets[r]` to `offsets[r + 1]`, ascending and distinct. */
  offsets: Int32Array;
  identifiers: Int32Array;
  /** The bytes of an identifier's token, without a copy. */
  token(identifier: number): Buffer;
  recordKey(record: number): Buffer;
  /** The number of a token, or -1 if no record carries it. */
  find(token: Uint8Array): number;
}

/** Gathers records in any order, in any number of pieces, and as often as they come. */
export class RecordCollector {
  readonly #kinds: readonly string[];
  readonly #kindNumbers: Map<string, number>;
  /** Keys as they come: a repeated one is found when they are sorted, at half the price of looking each one up. */
  readonly #keys = new ByteList();
  readonly #tokens: ByteDictionary[];
  /** One entry per identifier on a record: the record, the kind, and the number within the kind. */
  readonly #records = new Int32List();
  readonly #recordKinds = new Int32List();
  readonly #recordTokens = new Int32List();

  /** @param kinds identifier kinds, strongest first; tokens of other kinds are left out */
  constructor(kinds: readonly string[]) {
    this.#kinds = kinds;
    this.#kindNumbers = new Map(kinds.map((kind, number) => [kind, number]));
    this.#tokens = kinds.map(() => new ByteDictionary());
  }

  /** Registers a record by the bytes of its key from `start` to `end`; returns a number for `addIdentifier`. */
  addRecord(source: Uint8Array, start: number, end: number): number {
    return this.#keys.append(source, start, end);
  }

  /** Adds the token in the bytes from `start` to `end` to a record. */
  addIdentifier(record: number, source: Buffer, start: number, end: number): void {
    const underscore = lastUnderscore(source, start, end);
    const kind = this.#kindNumbers.get(source.toString("latin1", start, underscore));
    if (kind === undefined) return;
    this.#records.push(record);
    this.#recordKinds.push(kind);
    this.#recordTokens.push(this.#tokens[kind]!.add(source, start, end));
  }

  /** Numbers what was gathered; the collector is not used after. */
  finish(): CanonicalRecords {
    const firstOfKind = [0];
    const entries: Int32Array[] = [];
    const numbers: Int32Array[] = [];
    for (const [kind, dictionary] of this.#tokens.entries()) {
      const order = dictionary.sorted(this.#kinds[kind]!.length + 1);
      entries.push(order);
      numbers.push(inverse(order, firstOfKind[kind]!));
      firstOfKind.push(firstOfKind[kind]! + order.length);
    }
    const identifierCount = firstOfKind.at(-1)!;
    const kindOf = new Uint16Array(identifierCount);
    for (let kind = 0; kind < this.#kinds.length; kind++) kindOf.fill(kind, firstOfKind[kind]!, firstOfKind[kind + 1]!);

    const { distinct, numbers: recordNumbers } = numberDistinct(this.#keys);
    const records = this.#records.view().map((record) => recordNumbers[record]!);
    const carried = new Int32Array(records.length);
    for (let i = 0; i < carried.length; i++) carried[i] = numbers[this.#recordKinds.at(i)]![this.#recordTokens.at(i)]!;

    return {
      kindOf,
      ...groupByRecord(records, carried, distinct.length, identifierCount),
      token: (identifier) => {
        const kind = kindOf[identifier]!;
        return this.#tokens[kind]!.bytes(entries[kind]![identifier - firstOfKind[kind]!]!);
      },
      recordKey: (record) => this.#keys.bytes(distinct[record]!),
      find: (token) => {
        const bytes = Buffer.from(token.buffer, token.byteOffset, token.byteLength);
        const underscore = lastUnderscore(bytes, 0, bytes.length);
        const kind = this.#kindNumbers.get(bytes.toString("latin1", 0, underscore));
        const entry = kind === undefined ? -1 : this.#tokens[kind]!.find(bytes, 0, bytes.length);
        return entry === -1 ? -1 : numbers[kind!]![entry]!;
      },
    };
  }
}

/** Where the last underscore stands, which ends the kind; `start` where there is none. */
function lastUnderscore(source: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at > start && source[at] !== UNDERSCORE) at--;
  return Math.max(at, start);
}

function inverse(order: Int32Array, first: number): Int32Array {
  const positions = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) positions[order[i]!] = first + i;
  return positions;
}

/** Numbers entries by their bytes, equal ones alike; `distinct` holds one entry per number. */
function numberDistinct(list: ByteList): { distinct: Int32Array; numbers: Int32Array } {
  const order = list.sorted(0);
  const numbers = new Int32Array(order.length);
  let count = 0;
  for (const entry of order) {
    if (count === 0 || list.compare(order[count - 1]!, entry) !== 0) order[count++] = entry;
    numbers[entry] = count - 1;
  }
  return { distinct: order.subarray(0, count), numbers };
}

/** Lists each record's distinct identifiers in ascending order, record after record. */
function groupByRecord(
  records: Int32Array,
  carried: Int32Array,
  recordCount: number,
  identifierCount: number,
): { offsets: Int32Array; identifiers: Int32Array } {
  const order = sortByKey(sortByKey(ascending(records.length), carried, identifierCount), records, recordCount);
  const offsets = new Int32Array(recordCount + 1);
  const identifiers = new Int32Array(records.length);
  let written = 0;
  let record = 0;
  for (const i of order) {
    while (record < records[i]!) offsets[++record] = written;
    if (written > offsets[record]! && identifiers[written - 1] === carried[i]) continue;
    identifiers[written++] = carried[i]!;
  }
  while (record < recordCount) offsets[++record] = written;
  return { offsets, identifiers: identifiers.subarray(0, written) };
}
