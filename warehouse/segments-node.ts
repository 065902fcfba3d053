import { isUsable, USE_LIMITS } from "./consent/use-limits-node.ts";
import { inputsOf, settingsOf, textFor } from "./models/mart-select.ts";
import type { ComputeContext, ModelNode, RelationSpec } from "./models/relation.ts";
import { membersQuery, type Segment } from "./segments.ts";

const CUSTOMERS = "mart.dim_customers";
const MERGED_PEOPLE = "core.merged_people";

const SEGMENTS: RelationSpec = {
  name: "mart.dim_segments",
  grain: "One row per segment: a set of customers, as a file of sql/segments describes it.",
  materialize: "table",
  key: ["segment"],
  follows: [],
  notNull: ["description", "customers"],
  foreignKeys: [],
  columns: {
    segment: "Name of the segment: its file's",
    description: "What it is for",
    consent: "The purpose that its customers must have consented to; null where it is for analysis alone",
    customers: "How many customers are in it now",
    share: "These as a share of all customers, 0 to 1",
  },
};

const MEMBERSHIPS: RelationSpec = {
  name: "mart.fct_segment_memberships",
  grain: "One row per customer and span of time in a segment.",
  materialize: "table",
  key: ["segment", "customer_id", "valid"],
  follows: [],
  notNull: [],
  foreignKeys: [
    { columns: ["segment"], references: SEGMENTS.name },
    { columns: ["customer_id"], references: "core.people" },
  ],
  columns: {
    segment: "The segment",
    customer_id: "The customer",
    valid: "From the build that first saw the customer in it to the one that did no more; without an end: still in it",
  },
};

/** Kept apart, since who was merged is no customer, and kept, so that a split brings them back. */
const MERGED_MEMBERSHIPS: RelationSpec = {
  name: "mart.merged_segment_memberships",
  grain: "One row per customer that was merged into another and span of time in a segment, as it was until then.",
  materialize: "table",
  key: ["segment", "former_customer_id", "valid"],
  follows: [],
  notNull: ["customer_id"],
  foreignKeys: [
    { columns: ["segment"], references: SEGMENTS.name },
    { columns: ["customer_id"], references: "core.people" },
  ],
  columns: {
    segment: "The segment",
    former_customer_id: "The id of the customer until the merge",
    customer_id: "The customer that it is part of now",
    valid: "The span; without an end: in it when the two were merged",
  },
};

/**
 * Computes every segment and compares it with the memberships of the last publish: who is new joins now, who is gone leaves
 * now. Who has forbidden what a segment is for is in none of its kind. The rows of a customer that was merged into another wait
 * in a table of their own, from which a split brings them back; one that was erased loses all.
 */
export function segmentsNode(segments: readonly Segment[]): ModelNode {
  const selects = segments.map(({ select }) => select);
  return {
    name: "segments",
    inputs: [...new Set([CUSTOMERS, MERGED_PEOPLE, USE_LIMITS.name, ...inputsOf(selects)])],
    outputs: [SEGMENTS, MEMBERSHIPS, MERGED_MEMBERSHIPS],
    remembers: [MEMBERSHIPS.name, MERGED_MEMBERSHIPS.name],
    selects,
    settings: settingsOf(selects),
    version: JSON.stringify([
      "3",
      segments.map(({ name, description, consent, select }) => [
        name,
        description,
        consent,
        select.statement.bytes.toString("utf8"),
      ]),
    ]),
    async compute(context) {
      const { client } = context;
      const [target, memberships] = [context.output(SEGMENTS.name), context.output(MEMBERSHIPS.name)];
      const customers = context.input(CUSTOMERS);
      const limits = context.input(USE_LIMITS.name);
      await client.query(`create table ${memberships} (segment text, customer_id uuid, valid tstzrange)`);
      for (const segment of segments) {
        const members = await membersQuery(client, segment, textFor(segment.select, context), customers);
        await client.query(
          `insert into ${memberships} select $1, member.customer_id, tstzrange(now(), null) from (${members}) as member
           where ${isUsable(limits, "member.customer_id", segment.consent, segment.select.purpose !== null)}`,
          [segment.name],
        );
      }
      await client.query(
        `create table ${target} (segment text, description text, consent text, customers bigint, share numeric)`,
      );
      const { rowCount } = await client.query(
        `insert into ${target}
         select s.segment, s.description, s.consent, coalesce(m.customers, 0),
           coalesce(m.customers, 0)::numeric / nullif((select count(*) from ${customers}), 0)
         from jsonb_to_recordset($1::jsonb) as s (segment text, description text, consent text)
         left join (select segment, count(*) as customers from ${memberships} group by segment) as m
           on m.segment = s.segment`,
        [JSON.stringify(segments.map(({ name, description, consent }) => ({ segment: name, description, consent })))],
      );
      const waiting = context.output(MERGED_MEMBERSHIPS.name);
      await client.query(
        `create table ${waiting} (segment text, former_customer_id uuid, customer_id uuid, valid tstzrange)`,
      );
      await keepHistory(context);
      const count = async (table: string): Promise<number> =>
        (await client.query<{ count: number }>(`select count(*)::float8 as count from ${table}`)).rows[0]!.count;
      return {
        [SEGMENTS.name]: rowCount ?? 0,
        [MEMBERSHIPS.name]: await count(memberships),
        [MERGED_MEMBERSHIPS.name]: await count(waiting),
      };
    },
  };
}

/**
 * Gives the members the beginning of their open span and adds the spans that have ended. A clock that was set back breaks
 * nothing: a span ends no earlier than it began, and a new one begins no earlier than the last one ended.
 */
async function keepHistory(context: ComputeContext): Promise<void> {
  const { client } = context;
  const known = context.published(MEMBERSHIPS.name);
  if (!known) return;
  const merged = context.published(MERGED_MEMBERSHIPS.name);
  const published = `(select segment, customer_id, valid from ${known}
    ${merged ? `union all select segment, former_customer_id, valid from ${merged}` : ""})`;
  const memberships = context.output(MEMBERSHIPS.name);
  await client.query(`analyze ${memberships}`);
  await client.query(
    `update ${memberships} as m
     set valid = tstzrange(coalesce(last.open_since, greatest(now(), last.left_at)), null)
     from (select segment, customer_id, max(upper(valid)) as left_at,
             max(lower(valid)) filter (where upper_inf(valid)) as open_since
           from ${published} group by segment, customer_id) as last
     where last.segment = m.segment and last.customer_id = m.customer_id`,
  );
  await client.query(
    `insert into ${memberships}
     select span.segment, span.customer_id, span.valid
     from (
       select p.segment, p.customer_id, case when upper_inf(p.valid)
           then tstzrange(lower(p.valid), greatest(now(), lower(p.valid))) else p.valid end as valid
       from ${published} as p
       join ${context.output(SEGMENTS.name)} as s on s.segment = p.segment
       join ${context.input(CUSTOMERS)} as c on c.customer_id = p.customer_id
       left join ${memberships} as m on m.segment = p.segment and m.customer_id = p.customer_id
       where not upper_inf(p.valid) or m.customer_id is null
     ) as span
     where not isempty(span.valid)`,
  );
  await client.query(
    `insert into ${context.output(MERGED_MEMBERSHIPS.name)}
     select p.segment, m.former_customer_id, m.customer_id, p.valid
     from ${published} as p
     join ${context.output(SEGMENTS.name)} as s on s.segment = p.segment
     join ${context.input(MERGED_PEOPLE)} as m on m.former_customer_id = p.customer_id`,
  );
}
