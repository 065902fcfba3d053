import { ByteList } from "../../identity/byte-list.ts";
import { Int32List } from "../../identity/int32-list.ts";
import { withoutAnchor, type FormerPeople } from "../../identity/people.ts";
import { RecordCollector, type CanonicalRecords } from "../../identity/records.ts";
import { copyOut } from "../binary-copy.ts";
import type { ComputeContext } from "../models/relation.ts";
import type { ContractColumns } from "./contracts.ts";
import { IDENTIFIERS, MERGED_PEOPLE, PEOPLE } from "./tables.ts";

/**
 * Reads the tokens of the contracts' records.
 * @param only quoted name of a relation with the `record_key` of the records to read; all without it
 */
export async function readRecords(
  { client, rules }: Pick<ComputeContext, "client" | "rules">,
  contracts: readonly ContractColumns[],
  only?: string,
): Promise<CanonicalRecords> {
  const collector = new RecordCollector(rules.identifiers.map((rule) => rule.kind));
  const hasWindows = rules.identifiers.some((rule) => rule.window);
  // The largest last: of its records none is looked for again.
  for (const { from, tokens, time } of contracts.toSorted((a, b) => a.bytes - b.bytes)) {
    if (!tokens.length) continue;
    collector.beginPart();
    const seenAt = hasWindows && time ? `extract(epoch from ${time})::float8` : "null::float8";
    const within = only ? ` and record_key in (select record_key from ${only})` : "";
    await copyOut(
      client,
      `select record_key, ${seenAt}, ${tokens.join(", ")} from ${from} where num_nonnulls(${tokens.join(", ")}) > 0${within}`,
      ({ buffer, starts, ends }) => {
        const record = collector.addRecord(buffer, starts[0]!, ends[0]!);
        const seconds = ends[1] === -1 ? Number.NaN : buffer.readDoubleBE(starts[1]);
        for (let i = 2; i < starts.length; i++) {
          if (ends[i] !== -1) collector.addIdentifier(record, buffer, starts[i]!, ends[i]!, seconds);
        }
      },
    );
  }
  return collector.finish();
}

/** Marks the identifiers whose values the rules block; they were compared before their values were sealed. */
export async function readBlocked(
  { client }: Pick<ComputeContext, "client">,
  records: CanonicalRecords,
): Promise<Uint8Array> {
  const blocked = new Uint8Array(records.kindOf.length);
  await copyOut(client, "select token from ops.blocked_identifiers", ({ buffer, starts, ends }) => {
    const identifier = records.find(buffer.subarray(starts[0], ends[0]));
    if (identifier !== -1) blocked[identifier] = 1;
  });
  return blocked;
}

/** Reads what people decided by hand, as far as records carry both identifiers; in canonical order. */
export async function readDecisions(
  { client }: Pick<ComputeContext, "client">,
  records: CanonicalRecords,
): Promise<{ joined: [number, number][]; parted: [number, number][] }> {
  const { rows } = await client.query<{ token: string; other_token: string; decision: string }>(
    "select token, other_token, decision from ops.identity_decisions",
  );
  const pairs: Record<string, [number, number][]> = { merge: [], split: [] };
  for (const { token, other_token, decision } of rows) {
    const [a, b] = [records.find(Buffer.from(token)), records.find(Buffer.from(other_token))];
    if (a !== -1 && b !== -1) pairs[decision]!.push([Math.min(a, b), Math.max(a, b)]);
  }
  const { kindOf } = records;
  const canonical = (a: [number, number], b: [number, number]) =>
    kindOf[a[0]]! - kindOf[b[0]]! || kindOf[a[1]]! - kindOf[b[1]]! || a[0] - b[0] || a[1] - b[1];
  return { joined: pairs["merge"]!.sort(canonical), parted: pairs["split"]! };
}

/** People of the last publish, living ones first, each with the id it was given. */
export type PublishedPeople = FormerPeople & { ids: ByteList };

/**
 * Reads the people of the last publish and, of those whose anchor is gone, what else they held.
 * @param only quoted name of a relation with the `customer_id` of the people to read; all without it
 */
export async function readFormerPeople(
  { client, published }: Pick<ComputeContext, "client" | "published">,
  records: CanonicalRecords,
  person: Int32Array,
  only?: string,
): Promise<PublishedPeople> {
  const ids = new ByteList();
  const anchors = new Int32List();
  const sequences: number[] = [];
  const read = async (query: string) => {
    await copyOut(client, query, ({ buffer, starts, ends }) => {
      ids.append(buffer, starts[0]!, ends[0]!);
      sequences.push(Number(buffer.readBigInt64BE(starts[1])));
      anchors.push(records.find(buffer.subarray(starts[2], ends[2])));
    });
  };
  const isTouched = only ? `and customer_id in (select customer_id from ${only})` : "";
  const [people, mergedPeople, identifiers] = [PEOPLE, MERGED_PEOPLE, IDENTIFIERS].map(({ name }) => published(name));
  if (people) {
    await read(
      `select customer_id, person_seq, anchor_token from ${people} where anchor_token is not null
         ${isTouched} order by person_seq, customer_id`,
    );
  }
  const living = ids.size;
  if (mergedPeople) {
    await read(
      `select former_customer_id, person_seq, anchor_token from ${mergedPeople}
         where true ${isTouched} order by person_seq, former_customer_id`,
    );
  }
  const belongings = { holder: new Int32List(), identifier: new Int32List() };
  const lost = withoutAnchor(person, anchors.view().subarray(0, living));
  if (identifiers && lost.length) {
    const places = new Map(lost.map((place) => [ids.bytes(place).toString("hex"), place]));
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
  let lastSequence = sequences.reduce((greatest, each) => Math.max(greatest, each), 0);
  if (only && people && mergedPeople) {
    const { rows } = await client.query<{ last: number }>(
      `select greatest((select max(person_seq) from ${people}), (select max(person_seq) from ${mergedPeople}))::float8 as last`,
    );
    lastSequence = rows[0]?.last ?? 0;
  }
  return {
    ids,
    anchors: anchors.view(),
    sequences: Float64Array.from(sequences),
    living,
    lastSequence,
    belongings: { holder: belongings.holder.view(), identifier: belongings.identifier.view() },
  };
}
