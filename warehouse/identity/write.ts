import type { ClientBase } from "pg";
import type { IdentityRules } from "../../domain/project.ts";
import type { ByteSink } from "../../identity/byte-list.ts";
import { ascending, sortByKey } from "../../identity/counting-sort.ts";
import { Int32List } from "../../identity/int32-list.ts";
import { PARTED, WITHIN_TIME } from "../../identity/limited-sets.ts";
import { hangLinks, otherEnd } from "../../identity/hang-links.ts";
import { BY_HAND, type Links, type Partition } from "../../identity/partition.ts";
import type { People } from "../../identity/people.ts";
import type { CanonicalRecords } from "../../identity/records.ts";
import { copyIn, type OutgoingRows } from "../binary-copy.ts";
import { quoteName } from "../database.ts";
import type { ComputeContext } from "../models/relation.ts";
import { PersonIds } from "./person-ids.ts";
import type { PublishedPeople } from "./read.ts";
import * as tables from "./tables.ts";

/** Kinds that name a device or a browser, not a person. */
export const DEVICE_KINDS = new Set(["device_id", "anonymous_id", "cookie_id", "session_id"]);

/** Half of the work is its. */
const IN_SECOND: ReadonlySet<tables.IdentityTable> = new Set([tables.RECORD_OWNERS]);

/** What identity resolution found, ready to be written. */
export interface Resolution {
  rules: IdentityRules;
  records: CanonicalRecords;
  blocked: Uint8Array;
  result: Partition;
  people: People;
  former: PublishedPeople;
  /** Whether these are some islands of many: who stands for the unknown is then not among them. */
  isPart: boolean;
}

type Target = Pick<ComputeContext, "client" | "output" | "openSecond" | "finish">;

/**
 * Creates and fills the identity tables in the build schema; returns how many rows each has. Identifiers are written in
 * the order of their tokens, which their key's index then need not sort; records person by person, since they are looked
 * up and change so. Where there is a second session, a table's indexes are made while the next one is written in the other.
 * @param addOwners adds further rows to the owners of records once those are written; returns how many
 */
export async function writeTables(
  context: Target,
  resolution: Resolution,
  addOwners: (session: ClientBase) => Promise<number> = () => Promise.resolve(0),
): Promise<Record<string, number>> {
  const { client, finish } = context;
  const second = (await context.openSecond?.()) ?? client;
  const counts: Record<string, number> = {};
  /** What each session is at; a table is written when the indexes of the one before are made. */
  const busy = new Map<ClientBase, Promise<void>>();
  try {
    await fillTables(resolution, async (table, count, writeRow) => {
      const session = IN_SECOND.has(table) ? second : client;
      await busy.get(session);
      await createTable(session, context, table);
      await copyIn(session, context.output(table.name), count, writeRow);
      counts[table.name] = count + (table === tables.RECORD_OWNERS ? await addOwners(session) : 0);
      if (finish) busy.set(session, finish(session, table.name));
    });
    await Promise.all(busy.values());
  } finally {
    await Promise.allSettled(busy.values());
  }
  return counts;
}

type Write = (
  table: tables.IdentityTable,
  count: number,
  writeRow: (rows: OutgoingRows, i: number) => void,
) => Promise<void>;

async function fillTables(resolution: Resolution, write: Write): Promise<void> {
  const { rules, records, blocked, result, people, former, isPart } = resolution;
  const kinds = rules.identifiers.map((rule) => Buffer.from(rule.kind));
  const ids = new PersonIds(people, former.ids);
  const { placeOf } = people;
  const isHidden = (identifier: number) => result.shared[identifier] || blocked[identifier];

  const { merges, refusals } = result;
  const linkOf = hangLinks(merges, result.person);
  const recordOf = (rows: OutgoingRows & ByteSink, { record }: Links, i: number) => {
    if (record[i] === BY_HAND) rows.bytes(null);
    else records.writeRecordKey(rows, record[i]!);
  };
  const byToken = orderByToken(rules, records.kindOf);
  await write(tables.IDENTIFIERS, byToken.length, (rows, i) => {
    const identifier = byToken[i]!;
    rows.row(7);
    records.writeToken(rows, identifier);
    rows.bytes(kinds[records.kindOf[identifier]!]!);
    ids.writeTo(rows, placeOf[identifier]!);
    rows.boolean(result.shared[identifier] === 1);
    rows.boolean(blocked[identifier] === 1);
    const by = linkOf[identifier]!;
    if (by === -1) {
      rows.bytes(null);
      rows.bytes(null);
      return;
    }
    records.writeToken(rows, otherEnd(merges, by, identifier));
    recordOf(rows, merges, by);
  });
  const owned = ownedByPerson(result.owner, placeOf, ids.ranks());
  await write(tables.RECORD_OWNERS, owned.records.length, (rows, i) => {
    rows.row(2);
    records.writeRecordKey(rows, owned.records[i]!);
    ids.writeTo(rows, owned.places[i]!);
  });
  const nobody = isPart ? 0 : 1;
  const isNamed = namedPeople(resolution);
  await write(tables.PEOPLE, people.anchors.length + nobody, (rows, i) => {
    const person = i - nobody;
    rows.row(4);
    ids.writeTo(rows, person);
    if (person < 0) rows.bytes(null);
    else records.writeToken(rows, people.anchors[person]!);
    rows.boolean(!isNamed[person]);
    rows.bigint(person < 0 ? 0 : people.sequences[person]!);
  });
  await write(tables.MERGED_PEOPLE, people.absorbed.length, (rows, i) => {
    const absorbed = people.absorbed[i]!;
    rows.row(4);
    former.ids.writeTo(rows, absorbed.former);
    ids.writeTo(rows, absorbed.place);
    records.writeToken(rows, absorbed.anchor);
    rows.bigint(former.sequences[absorbed.former]!);
  });
  const hidden = hiddenIdentifiers(records, isHidden);
  await write(tables.HIDDEN, hidden.record.length, (rows, i) => {
    rows.row(2);
    records.writeRecordKey(rows, hidden.record.at(i));
    records.writeToken(rows, hidden.identifier.at(i));
  });
  await write(tables.CONFLICTS, refusals.record.length, (rows, i) => {
    const { reason, kind, limit } = explain(rules, refusals.reason[i]!);
    rows.row(8);
    records.writeToken(rows, refusals.stronger[i]!);
    records.writeToken(rows, refusals.weaker[i]!);
    recordOf(rows, refusals, i);
    rows.bytes(Buffer.from(reason));
    rows.bytes(kind === null ? null : kinds[kind]!);
    if (limit === null) rows.bytes(null);
    else rows.integer(limit);
    ids.writeTo(rows, placeOf[refusals.stronger[i]!]!);
    ids.writeTo(rows, placeOf[refusals.weaker[i]!]!);
  });
}

/** Creates the identity tables in the build schema without a row. */
export async function createTables(context: Target): Promise<void> {
  for (const table of tables.TABLES) await createTable(context.client, context, table);
}

function explain(rules: IdentityRules, code: number): { reason: string; kind: number | null; limit: number | null } {
  if (code === PARTED) return { reason: "split", kind: null, limit: null };
  if (code < WITHIN_TIME) return { reason: "limit", kind: code, limit: rules.identifiers[code]!.limit };
  const kind = code - WITHIN_TIME;
  return { reason: "window", kind, limit: rules.identifiers[kind]!.window!.limit };
}

async function createTable(session: ClientBase, { output }: Target, table: tables.IdentityTable): Promise<void> {
  const always = new Set([...table.key, ...table.notNull]);
  const columns = Object.entries(table.types).map(
    ([name, type]) => `${quoteName(name)} ${type}${always.has(name) ? " not null" : ""}`,
  );
  await session.query(`create table ${output(table.name)} (${columns.join(", ")})`);
}

/** Identifiers in the order of their tokens: kind after kind by name, since a token begins with its kind. */
function orderByToken(rules: IdentityRules, kindOf: Uint16Array): Int32Array {
  const names = rules.identifiers.map((rule, kind) => ({ kind, name: `${rule.kind}_` }));
  const order = new Int32Array(kindOf.length);
  let written = 0;
  for (const { kind } of names.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    // The identifiers of a kind follow each other.
    const first = kindOf.indexOf(kind);
    if (first === -1) continue;
    for (let identifier = first; kindOf[identifier] === kind; identifier++) order[written++] = identifier;
  }
  return order;
}

/** The records that are somebody's, with the places of their people, in the order of the people's ids. */
function ownedByPerson(
  owner: Int32Array,
  placeOf: Int32Array,
  ranks: Int32Array,
): { records: Int32Array; places: Int32Array } {
  const placeAt = new Int32Array(ranks.length);
  for (const [place, rank] of ranks.entries()) placeAt[rank] = place;
  const rankOf = owner.map((identifier) => (identifier === -1 ? -1 : ranks[placeOf[identifier]!]!));
  const owned = ascending(owner.length).filter((record) => rankOf[record] !== -1);
  const records = sortByKey(owned, rankOf, ranks.length);
  return { records, places: records.map((record) => placeAt[rankOf[record]!]!) };
}

/** 1 for each person of whom more than devices is known. */
function namedPeople({ rules, records, people }: Resolution): Uint8Array {
  const isNamed = new Uint8Array(people.anchors.length);
  const isDevice = rules.identifiers.map((rule) => DEVICE_KINDS.has(rule.kind));
  for (const [identifier, place] of people.placeOf.entries()) {
    if (place !== -1 && !isDevice[records.kindOf[identifier]!]) isNamed[place] = 1;
  }
  return isNamed;
}

function hiddenIdentifiers(
  { offsets, identifiers }: CanonicalRecords,
  isHidden: (identifier: number) => number | undefined,
): { identifier: Int32List; record: Int32List } {
  const hidden = { identifier: new Int32List(), record: new Int32List() };
  for (let record = 0; record + 1 < offsets.length; record++) {
    for (let at = offsets[record]!; at < offsets[record + 1]!; at++) {
      if (!isHidden(identifiers[at]!)) continue;
      hidden.identifier.push(identifiers[at]!);
      hidden.record.push(record);
    }
  }
  return hidden;
}
