import pg from "pg";
import { isUsable, USE_LIMITS } from "./consent/use-limits-node.ts";
import { inputsOf, settingsOf, textFor } from "./models/mart-select.ts";
import type { ChangeContext, ComputeContext, ModelNode } from "./models/relation.ts";
import { MEMBERSHIPS, MERGED_MEMBERSHIPS, SEGMENTS } from "./segment-tables.ts";
import { customersAmong, membersQuery, type Segment } from "./segments.ts";

const CUSTOMERS = "mart.dim_customers";
const MERGED_PEOPLE = "core.merged_people";
/** More customers than this who came, went, were merged or changed their mind are looked at by computing all. */
const MOST_TOUCHED = 20_000;

/**
 * Computes every segment and compares it with the memberships of the last publish: who is new joins now, who is gone leaves
 * now. Where all segments follow what has changed, only the customers that it touches are looked at. Who has forbidden what
 * a segment is for is in none of its kind. The rows of a customer that was merged into another wait in a table of their own,
 * from which a split brings them back; one that was erased loses all.
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
      const customers = context.input(CUSTOMERS);
      return await fill(context, segments, {
        members: async (segment) => ({
          sql: await membersQuery(client, segment, textFor(segment.select, context), customers),
          parameters: [],
        }),
        among: null,
      });
    },
    async computeChanges(context) {
      const among = await touchedCustomers(context, segments);
      if (!among) return false;
      const { client, touched, published } = context;
      const [known, merged] = [published(MEMBERSHIPS.name), published(MERGED_MEMBERSHIPS.name)];
      await client.query(`create table ${touched(SEGMENTS.name)} as select segment from ${published(SEGMENTS.name)};
        create table ${touched(MEMBERSHIPS.name)} (segment text, customer_id uuid, valid tstzrange);
        create table ${touched(MERGED_MEMBERSHIPS.name)} (segment text, former_customer_id uuid, valid tstzrange)`);
      await client.query(
        `insert into ${touched(MEMBERSHIPS.name)} select segment, customer_id, valid from ${known} where customer_id = any ($1::uuid[])`,
        [among],
      );
      await client.query(
        `insert into ${touched(MERGED_MEMBERSHIPS.name)}
         select segment, former_customer_id, valid from ${merged} where former_customer_id = any ($1::uuid[])`,
        [among],
      );
      await fill(context, segments, {
        members: ({ select }) => {
          const { sql, parameters } = context.rowsWith(select, { name: "customer_id", type: "uuid" }, among);
          return Promise.resolve({ sql: customersAmong(sql, context.input(CUSTOMERS)), parameters });
        },
        among,
      });
      return true;
    },
  };
}

/** The select of a segment's members, and the parameters of its text. */
type Members = (segment: Segment) => Promise<{ sql: string; parameters: readonly unknown[] }>;

/**
 * Fills the outputs.
 * @param among the customers that `members` tells of, and that the memberships are written of; null: all
 */
async function fill(
  context: ComputeContext,
  segments: readonly Segment[],
  { members, among }: { members: Members; among: readonly string[] | null },
): Promise<Record<string, number>> {
  const { client } = context;
  const [target, memberships] = [context.output(SEGMENTS.name), context.output(MEMBERSHIPS.name)];
  const customers = context.input(CUSTOMERS);
  const limits = context.input(USE_LIMITS.name);
  await client.query(`create table ${memberships} (segment text, customer_id uuid, valid tstzrange)`);
  for (const segment of segments) {
    const { sql, parameters } = await members(segment);
    await client.query(
      `insert into ${memberships} select ${pg.escapeLiteral(segment.name)}, member.customer_id, tstzrange(now(), null) from (${sql}) as member
       where ${isUsable(limits, "member.customer_id", segment.consent, segment.select.purpose !== null)}`,
      [...parameters],
    );
  }
  const known = context.published(MEMBERSHIPS.name);
  // Of the others those are in a segment who were.
  const others =
    among && known
      ? `union all select segment from ${known} where upper_inf(valid) and customer_id <> all ($2::uuid[])`
      : "";
  await client.query(
    `create table ${target} (segment text, description text, consent text, customers bigint, share numeric)`,
  );
  const { rowCount } = await client.query(
    `insert into ${target}
     select s.segment, s.description, s.consent, coalesce(m.customers, 0),
       coalesce(m.customers, 0)::numeric / nullif((select count(*) from ${customers}), 0)
     from jsonb_to_recordset($1::jsonb) as s (segment text, description text, consent text)
     left join (
       select segment, count(*) as customers from (select segment from ${memberships} ${others}) as member group by segment
     ) as m on m.segment = s.segment`,
    [
      JSON.stringify(segments.map(({ name, description, consent }) => ({ segment: name, description, consent }))),
      ...(others ? [among] : []),
    ],
  );
  const waiting = context.output(MERGED_MEMBERSHIPS.name);
  await client.query(
    `create table ${waiting} (segment text, former_customer_id uuid, customer_id uuid, valid tstzrange)`,
  );
  await keepHistory(context, among);
  const count = async (table: string): Promise<number> =>
    (await client.query<{ count: number }>(`select count(*)::float8 as count from ${table}`)).rows[0]!.count;
  return {
    [SEGMENTS.name]: rowCount ?? 0,
    [MEMBERSHIPS.name]: await count(memberships),
    [MERGED_MEMBERSHIPS.name]: await count(waiting),
  };
}

/** The customers, living or merged, who may have joined or left; null where that can't be told, or would be most of them. */
async function touchedCustomers(context: ChangeContext, segments: readonly Segment[]): Promise<string[] | null> {
  const { client, changes, published } = context;
  if ([SEGMENTS, MEMBERSHIPS, MERGED_MEMBERSHIPS].some(({ name }) => published(name) === null)) return null;
  const { rows } = await client.query<{ count: number; nobody: string }>(
    `select count(*)::float8 as count, ops.nobody()::text as nobody from ${context.input(CUSTOMERS)}`,
  );
  const { count, nobody } = rows[0]!;
  const touched = new Set<string>();
  for (const { select } of segments) {
    const values = await context.touchedValues(select, "customer_id", count);
    if (!values) return null;
    for (const value of values) touched.add(value);
  }
  const [come, merged, limited] = [changes(CUSTOMERS, []), changes(MERGED_PEOPLE), changes(USE_LIMITS.name)];
  const keys = [
    ...(come ? [`select customer_id from ${come} as come`] : []),
    ...(merged ? [`select former_customer_id from ${merged} as merged`] : []),
    ...(limited ? [`select customer_id from ${limited} as limited`] : []),
  ];
  if (keys.length > 0) {
    const { rows: others } = await client.query<{ id: string }>(
      `select id::text from (${keys.join(" union ")}) as touched (id) limit ${MOST_TOUCHED + 1}`,
    );
    if (others.length > MOST_TOUCHED) return null;
    for (const { id } of others) touched.add(id);
  }
  // Half of all events may be nobody's, and nobody is no customer.
  touched.delete(nobody);
  return [...touched];
}

/**
 * Gives the members the beginning of their open span and adds the spans that have ended. A clock that was set back breaks
 * nothing: a span ends no earlier than it began, and a new one begins no earlier than the last one ended.
 * @param among the customers whose memberships are written; null: all
 */
async function keepHistory(context: ComputeContext, among: readonly string[] | null): Promise<void> {
  const { client } = context;
  const known = context.published(MEMBERSHIPS.name);
  if (!known) return;
  const merged = context.published(MERGED_MEMBERSHIPS.name);
  const values = among ? [among] : [];
  const within = (column: string) => (among ? `where ${column} = any ($1::uuid[])` : "");
  const published = `(select segment, customer_id, valid from ${known} ${within("customer_id")}
    ${merged ? `union all select segment, former_customer_id, valid from ${merged} ${within("former_customer_id")}` : ""})`;
  const memberships = context.output(MEMBERSHIPS.name);
  await client.query(`analyze ${memberships}`);
  await client.query(
    `update ${memberships} as m
     set valid = tstzrange(coalesce(last.open_since, greatest(now(), last.left_at)), null)
     from (select segment, customer_id, max(upper(valid)) as left_at,
             max(lower(valid)) filter (where upper_inf(valid)) as open_since
           from ${published} group by segment, customer_id) as last
     where last.segment = m.segment and last.customer_id = m.customer_id`,
    values,
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
    values,
  );
  await client.query(
    `insert into ${context.output(MERGED_MEMBERSHIPS.name)}
     select p.segment, m.former_customer_id, m.customer_id, p.valid
     from ${published} as p
     join ${context.output(SEGMENTS.name)} as s on s.segment = p.segment
     join ${context.input(MERGED_PEOPLE)} as m on m.former_customer_id = p.customer_id`,
    values,
  );
}
