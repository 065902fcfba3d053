import { Int32List } from "../../identity/int32-list.ts";
import type { FormerPeople } from "../../identity/people.ts";
import { withoutAnchor } from "../../identity/people.ts";
import { RecordCollector, type CanonicalRecords } from "../../identity/records.ts";
import { copyOut } from "../binary-copy.ts";
import { quoteName } from "../database.ts";
import type { ComputeContext } from "../models/relation.ts";
import { IDENTIFIERS, PEOPLE } from "./tables.ts";

/** Contracts whose records carry identifiers or refer to a record that does. */
export const INPUTS = [
  "core.consents",
  "core.customers",
  "core.events",
  "core.order_lines",
  "core.orders",
  "core.reviews",
  "core.tickets",
];

/** Reads the tokens of every record: `customer_ref`, and every text column whose name ends in `_token`. */
export async function readRecords({ client, input, rules }: ComputeContext): Promise<CanonicalRecords> {
  const collector = new RecordCollector(rules.identifiers.map((rule) => rule.kind));
  for (const relation of INPUTS) {
    const columns = await columnsOf(client, input(relation), "text", "customer_ref|.*_token");
    if (!columns.length) continue;
    const tokens = columns.map((column) => quoteName(column)).join(", ");
    await copyOut(
      client,
      `select record_key, ${tokens} from ${input(relation)} where num_nonnulls(${tokens}) > 0`,
      ({ buffer, starts, ends }) => {
        const record = collector.addRecord(buffer, starts[0]!, ends[0]!);
        for (let i = 1; i < starts.length; i++) {
          if (ends[i] !== -1) collector.addIdentifier(record, buffer, starts[i]!, ends[i]!);
        }
      },
    );
  }
  return collector.finish();
}

/** Names of a relation's columns of a type that match a pattern as a whole. */
export async function columnsOf(
  client: ComputeContext["client"],
  relation: string,
  type: "text" | "uuid",
  pattern: string,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped
       and atttypid = $2::regtype and attname ~ $3
     order by attnum`,
    [relation, type, `^(${pattern})$`],
  );
  return rows.map((row) => row.name);
}

/** Marks the identifiers whose values the rules block; they were compared before their values were sealed. */
export async function readBlocked({ client }: ComputeContext, records: CanonicalRecords): Promise<Uint8Array> {
  const blocked = new Uint8Array(records.kindOf.length);
  await copyOut(client, "select token from ops.blocked_identifiers", ({ buffer, starts, ends }) => {
    const identifier = records.find(buffer.subarray(starts[0], ends[0]));
    if (identifier !== -1) blocked[identifier] = 1;
  });
  return blocked;
}

/** Reads the people of the last publish and, of those whose anchor is gone, what else they held. */
export async function readFormerPeople(
  { client, published }: ComputeContext,
  records: CanonicalRecords,
  person: Int32Array,
): Promise<FormerPeople & { ids: Buffer[] }> {
  const ids: Buffer[] = [];
  const anchors = new Int32List();
  const sequences: number[] = [];
  const people = published(PEOPLE.name);
  if (people) {
    await copyOut(
      client,
      `select customer_id, person_seq, anchor_token from ${people} where anchor_token is not null
       order by person_seq, customer_id`,
      ({ buffer, starts, ends }) => {
        ids.push(Buffer.from(buffer.subarray(starts[0], ends[0])));
        sequences.push(Number(buffer.readBigInt64BE(starts[1])));
        anchors.push(records.find(buffer.subarray(starts[2], ends[2])));
      },
    );
  }
  const belongings = { holder: new Int32List(), identifier: new Int32List() };
  const identifiers = published(IDENTIFIERS.name);
  const lost = withoutAnchor(person, anchors.view());
  if (identifiers && lost.length) {
    const places = new Map(lost.map((place) => [ids[place]!.toString("hex"), place]));
    const held = await client.query<{ holder: string; token: string }>(
      `select replace(customer_id::text, '-', '') as holder, token from ${identifiers} where customer_id = any($1::uuid[])`,
      [[...places.keys()]],
    );
    for (const { holder, token } of held.rows) {
      const identifier = records.find(Buffer.from(token));
      if (identifier === -1) continue;
      belongings.holder.push(places.get(holder)!);
      belongings.identifier.push(identifier);
    }
  }
  return {
    ids,
    anchors: anchors.view(),
    sequences: Float64Array.from(sequences),
    belongings: { holder: belongings.holder.view(), identifier: belongings.identifier.view() },
  };
}
