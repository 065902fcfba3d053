import type { IdentityRules } from "../../domain/project.ts";
import type { Links, Partition } from "../../identity/partition.ts";
import type { People } from "../../identity/people.ts";
import type { CanonicalRecords } from "../../identity/records.ts";
import { copyIn, type OutgoingRows } from "../binary-copy.ts";
import { quoteName } from "../database.ts";
import type { ComputeContext } from "../models/relation.ts";
import { columnsOf, INPUTS } from "./read.ts";
import { CONFLICTS, IDENTIFIERS, MERGES, PEOPLE, RECORD_OWNERS, type IdentityTable } from "./tables.ts";

/** Kinds that name a device or a browser, not a person. */
const DEVICE_KINDS = new Set(["device_id", "anonymous_id", "cookie_id", "session_id"]);

/** `ops.nobody()`: the nil uuid. */
const NOBODY = Buffer.alloc(16);

/** What identity resolution found, ready to be written. */
interface Resolution {
  rules: IdentityRules;
  records: CanonicalRecords;
  blocked: Uint8Array;
  result: Partition;
  people: People;
  ids: Buffer[];
}

/** Creates and fills the identity tables in the build schema; returns how many rows each has. */
export async function writeTables(context: ComputeContext, resolution: Resolution): Promise<Record<string, number>> {
  const { rules, records, blocked, result, people, ids } = resolution;
  const kinds = rules.identifiers.map((rule) => Buffer.from(rule.kind));
  const kind = (identifier: number) => kinds[records.kindOf[identifier]!]!;
  const customer = (identifier: number) => ids[people.placeOf[identifier]!] ?? NOBODY;
  const counts: Record<string, number> = {};
  const write = async (table: IdentityTable, count: number, writeRow: (rows: OutgoingRows, i: number) => void) => {
    await createTable(context, table);
    await copyIn(context.client, context.output(table.name), count, writeRow);
    counts[table.name] = count;
  };

  const isNamed = namedPeople(resolution);
  await write(PEOPLE, people.anchors.length + 1, (rows, i) => {
    const person = i - 1;
    rows.row(4);
    rows.bytes(person < 0 ? NOBODY : ids[person]!);
    rows.bytes(person < 0 ? null : records.token(people.anchors[person]!));
    rows.boolean(!isNamed[person]);
    rows.bigint(person < 0 ? 0 : people.sequences[person]!);
  });
  await write(IDENTIFIERS, records.kindOf.length, (rows, i) => {
    rows.row(6);
    rows.bytes(records.token(i));
    rows.bytes(kind(i));
    rows.bytes(customer(i));
    rows.bytes(result.island[i] === -1 ? null : records.token(result.island[i]!));
    rows.boolean(result.shared[i] === 1);
    rows.boolean(blocked[i] === 1);
  });
  const owned = result.owner.map((owner, record) => (owner === -1 ? -1 : record)).filter((record) => record !== -1);
  await write(RECORD_OWNERS, owned.length, (rows, i) => {
    rows.row(2);
    rows.bytes(records.recordKey(owned[i]!));
    rows.bytes(customer(result.owner[owned[i]!]!));
  });
  counts[RECORD_OWNERS.name]! += await addOwnersByReference(context);

  const link = (rows: OutgoingRows, { stronger, weaker, record }: Links, i: number) => {
    rows.bytes(records.token(stronger[i]!));
    rows.bytes(records.token(weaker[i]!));
    rows.bytes(kind(stronger[i]!));
    rows.bytes(kind(weaker[i]!));
    rows.bytes(records.recordKey(record[i]!));
  };
  const { merges, refusals } = result;
  await write(MERGES, merges.record.length, (rows, i) => {
    rows.row(6);
    link(rows, merges, i);
    rows.bytes(customer(merges.stronger[i]!));
  });
  await write(CONFLICTS, refusals.record.length, (rows, i) => {
    rows.row(9);
    link(rows, refusals, i);
    rows.bytes(kinds[refusals.limitKind[i]!]!);
    rows.integer(rules.identifiers[refusals.limitKind[i]!]!.limit!);
    rows.bytes(customer(refusals.stronger[i]!));
    rows.bytes(customer(refusals.weaker[i]!));
  });
  return counts;
}

async function createTable({ client, output }: ComputeContext, table: IdentityTable): Promise<void> {
  const columns = Object.entries(table.types).map(([name, type]) => `${quoteName(name)} ${type}`);
  await client.query(`create table ${output(table.name)} (${columns.join(", ")})`);
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

/** Gives records without an owner of their own that of the order they refer to; returns how many. */
async function addOwnersByReference({ client, input, output }: ComputeContext): Promise<number> {
  const owners = output(RECORD_OWNERS.name);
  const references: string[] = [];
  for (const relation of INPUTS) {
    const columns = await columnsOf(client, input(relation), "uuid", "order_record_key");
    if (columns.length) references.push(`select record_key, order_record_key from ${input(relation)}`);
  }
  if (!references.length) return 0;
  await client.query(`analyze ${owners}`);
  const { rowCount } = await client.query(
    `insert into ${owners} (record_key, customer_id)
     select distinct on (record.record_key) record.record_key, parent.customer_id
     from (${references.join(" union all ")}) as record
     join ${owners} as parent on parent.record_key = record.order_record_key
     where not exists (select from ${owners} as own where own.record_key = record.record_key)
     order by record.record_key, record.order_record_key`,
  );
  return rowCount ?? 0;
}
