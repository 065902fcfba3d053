import fc from "fast-check";
import type { PoolClient } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IdentifierRule } from "../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { inTransaction, quoteName } from "./database.ts";
import { identityNode } from "./identity-node.ts";

const CONTRACTS = ["customers", "events", "orders", "order_lines", "reviews", "consents", "tickets"];
/** With a window, no new record can be told by the known identifiers alone. */
const rulesWith = (window: IdentifierRule["window"]): IdentifierRule[] => [
  { kind: "customer_id", limit: 1, blocked: [], sharedAbove: null, window: null },
  { kind: "email", limit: 2, blocked: [], sharedAbove: 2, window },
  { kind: "device_id", limit: 3, blocked: [], sharedAbove: 2, window: null },
];
let rules: IdentifierRule[];

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(`
    create table core.customers (record_key uuid primary key, customer_ref text, email_token text, registered_at timestamptz);
    create table core.events (record_key uuid primary key, device_token text, customer_ref text, email_token text, occurred_at timestamptz);
    create table core.orders (record_key uuid primary key, customer_ref text, email_token text, ordered_at timestamptz);
    create table core.order_lines (record_key uuid primary key, order_record_key uuid);
    create table core.reviews (record_key uuid primary key, customer_ref text, email_token text, order_record_key uuid);
    create table core.consents (record_key uuid primary key, email_token text);
    create table core.tickets (record_key uuid primary key, email_token text);
    grant select on all tables in schema core to transformer`);
});
afterAll(() => database.drop());

interface Row {
  contract: string;
  id: number;
  isGone: boolean;
  values: Record<string, string | null>;
}
interface Batch {
  rows: Row[];
  blocked: string[];
  decision: { token: string; other_token: string; decision: string } | null;
}

const token = (kind: string, most: number) =>
  fc.option(
    fc.integer({ min: 0, max: most }).map((value) => `${kind}_${value}`),
    { freq: 2 },
  );
const day = fc.option(fc.integer({ min: 1, max: 9 }).map((value) => `2027-01-0${value}T12:00:00Z`));
const reference = fc.option(fc.integer({ min: 0, max: 5 }).map((id) => keyOf("orders", id)));
const row: fc.Arbitrary<Row> = fc
  .record({
    contract: fc.constantFrom("customers", "events", "events", "orders", "order_lines", "reviews"),
    id: fc.integer({ min: 0, max: 5 }),
    isGone: fc.boolean(),
    customer: token("customer_id", 4),
    email: token("email", 5),
    device: token("device_id", 4),
    day,
    reference,
  })
  .map(({ contract, id, isGone, customer, email, device, day: at, reference: order }) => {
    const columns: Record<string, Record<string, string | null>> = {
      customers: { customer_ref: customer, email_token: email, registered_at: at },
      events: { customer_ref: customer, email_token: email, device_token: device, occurred_at: at },
      orders: { customer_ref: customer, email_token: email, ordered_at: at },
      order_lines: { order_record_key: order },
      reviews: { customer_ref: customer, email_token: email, order_record_key: order },
    };
    return { contract, id, isGone: isGone && id % 2 === 0, values: columns[contract]! };
  });
const batch: fc.Arbitrary<Batch> = fc.record({
  rows: fc.uniqueArray(row, { minLength: 1, maxLength: 8, selector: ({ contract, id }) => `${contract} ${id}` }),
  blocked: fc.array(
    fc.integer({ min: 0, max: 5 }).map((value) => `email_${value}`),
    { maxLength: 1 },
  ),
  decision: fc.option(
    fc.record({
      token: fc.integer({ min: 0, max: 2 }).map((value) => `customer_id_${value}`),
      other_token: fc.integer({ min: 0, max: 5 }).map((value) => `email_${value}`),
      decision: fc.constantFrom("merge", "split"),
    }),
    { freq: 3 },
  ),
});

test("resolving only what changes touch gives what a full computation gives, whatever comes, changes, goes or is decided", async () => {
  const runs = Number(process.env["MIETTE_TEST_LONG"] ? 200 : 12);
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(batch, { minLength: 2, maxLength: 5 }), async (hasWindow, batches) => {
      rules = rulesWith(hasWindow ? { limit: 1, days: 3 } : null);
      await follow(batches);
    }),
    { numRuns: runs, endOnFailure: true },
  );
}, 600_000);

test("a review that had its owner from its order is the reviewer's once the e-mail is no longer blocked", async () => {
  rules = rulesWith(null);
  const came = (contract: string, id: number, values: Row["values"]): Row => ({ contract, id, isGone: false, values });
  const order = came("orders", 1, { customer_ref: "customer_id_4" });
  const review = came("reviews", 4, { email_token: "email_4", order_record_key: keyOf("orders", 1) });
  const event = came("events", 3, { email_token: "email_4", device_token: "device_id_3" });
  await follow([
    { rows: [order, review, event], blocked: ["email_4"], decision: null },
    { rows: [], blocked: ["email_5"], decision: null },
  ]);
  const { rows } = await database.pool.query(
    "select anchor_token from core.record_owners join core.people using (customer_id) where record_key = $1",
    [keyOf("reviews", 4)],
  );
  expect(rows).toEqual([{ anchor_token: "device_id_3" }]);
});

test("an identifier that was shared and is blocked now is said to be blocked, and is judged anew once it no longer is", async () => {
  rules = rulesWith(null);
  const came = (contract: string, id: number, values: Row["values"]): Row => ({ contract, id, isGone: false, values });
  const of = (n: number): Row["values"] => ({ customer_ref: `customer_id_${n}`, email_token: "email_0" });
  await follow([
    {
      rows: [came("customers", 0, of(2)), came("events", 0, of(1)), came("customers", 1, of(0))],
      blocked: [],
      decision: null,
    },
    { rows: [], blocked: ["email_0"], decision: null },
    { rows: [came("customers", 0, { customer_ref: null, email_token: null })], blocked: [], decision: null },
    { rows: [], blocked: ["email_5"], decision: null },
  ]);
});

test("a review whose e-mail is blocked is owned with its order, also when that comes later and with a record that names nobody", async () => {
  rules = rulesWith(null);
  const came = (contract: string, id: number, values: Row["values"]): Row => ({ contract, id, isGone: false, values });
  const review = came("reviews", 1, { email_token: "email_2", order_record_key: keyOf("orders", 5) });
  const nobody = came("customers", 0, { customer_ref: null, email_token: null });
  await follow([
    { rows: [review], blocked: ["email_2"], decision: null },
    { rows: [came("orders", 5, { email_token: "email_0" }), nobody], blocked: [], decision: null },
  ]);
});

/** Publishes what changes make of nothing, batch after batch, and compares each with a full computation. */
async function follow(batches: readonly Batch[]): Promise<void> {
  await reset();
  await publishFull();
  for (const each of batches) {
    await apply(each);
    await compute("full");
    await compute("changes");
    await publishChanges();
    expect(await shown("core")).toEqual(await shown("build_mart"));
  }
}

async function reset(): Promise<void> {
  await database.pool.query(
    `truncate ${CONTRACTS.map((name) => `core.${name}`).join(", ")}, ops.blocked_identifiers, ops.identity_decisions;
     drop table if exists ${identityNode.outputs.map(({ name }) => name).join(", ")} cascade;
     ${clearBuild()}`,
  );
}

function clearBuild(): string {
  return `drop schema build_core, build_mart cascade; create schema build_core; create schema build_mart;
    grant usage, create on schema build_core, build_mart to transformer`;
}

async function publishFull(): Promise<void> {
  await compute("full");
  for (const { name, key, foreignKeys } of identityNode.outputs) {
    const table = name.split(".")[1]!;
    await database.pool.query(`create table core.${table} as select * from build_mart.${table};
      alter table core.${table} add primary key (${key.join()});
      ${foreignKeys.map(({ columns }) => `create index on core.${table} (${columns.join()})`).join(";")}`);
  }
  await database.pool.query(`${clearBuild()}; grant select on all tables in schema core to transformer`);
}

async function apply({ rows, blocked, decision }: Batch): Promise<void> {
  await database.pool.query(clearBuild());
  const changed = new Map<string, string[]>();
  for (const { contract, id, isGone, values } of rows) {
    const key = keyOf(contract, id);
    await database.pool.query(`delete from core.${contract} where record_key = $1`, [key]);
    if (!isGone) {
      await database.pool.query(
        `insert into core.${contract} select * from json_populate_record(null::core.${contract}, $1)`,
        [JSON.stringify({ record_key: key, ...values })],
      );
    }
    changed.set(contract, [...(changed.get(contract) ?? []), key]);
  }
  for (const [contract, keys] of changed) {
    await database.pool.query(
      `create table build_core.changed_${contract} as
       select key as record_key, (select t from core.${contract} as t where t.record_key = key) as now
       from unnest('{${keys.join()}}'::uuid[]) as key`,
    );
  }
  if (blocked.length) {
    await database.pool.query("delete from ops.blocked_identifiers");
    await database.pool.query("insert into ops.blocked_identifiers select unnest($1::text[]), 'email'", [blocked]);
    await database.pool.query("create table build_core.changed_blocked_identifiers ()");
  }
  if (decision) {
    await database.pool.query(
      `insert into ops.identity_decisions (token, other_token, decision, decided_by) values ($1, $2, $3, 'test')
       on conflict (token, other_token) do update set decision = excluded.decision`,
      [decision.token, decision.other_token, decision.decision],
    );
    await database.pool.query("create table build_core.changed_identity_decisions ()");
  }
  await database.pool.query("grant select on all tables in schema build_core to transformer");
}

async function compute(how: "full" | "changes"): Promise<void> {
  const { rows: tables } = await database.pool.query<{ name: string }>(
    "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('core', 'build_core')",
  );
  const names = new Set(tables.map(({ name }) => name));
  const context = (client: PoolClient) => ({
    client,
    rules: { identifiers: rules },
    input: (relation: string) => quoteName(...relation.split(".")),
    published: (relation: string) => (names.has(relation) ? quoteName(...relation.split(".")) : null),
    output: (relation: string) => quoteName(how === "full" ? "build_mart" : "build_core", relation.split(".")[1]!),
    touched: (relation: string) => quoteName("build_core", `touched_${relation.split(".")[1]}`),
    added: (relation: string) => quoteName("build_core", `added_${relation.split(".")[1]}`),
    touchedValues: () => Promise.reject(new Error("identity runs no select")),
    rowsWith: () => {
      throw new Error("identity runs no select");
    },
    changes: (relation: string) =>
      names.has(`build_core.changed_${relation.split(".")[1]}`)
        ? quoteName("build_core", `changed_${relation.split(".")[1]}`)
        : null,
  });
  await inTransaction(
    database.pool,
    async (client) => {
      await client.query("set local role transformer");
      if (how === "full") await identityNode.compute(context(client));
      else expect(await identityNode.computeChanges!(context(client))).toBe(true);
    },
    "begin isolation level repeatable read",
  );
}

async function publishChanges(): Promise<void> {
  const { rows: added } = await database.pool.query<{ table: string }>(
    "select substr(viewname, 7) as table from pg_views where schemaname = 'build_core' and viewname like 'added\\_%'",
  );
  for (const { name, key, types } of identityNode.outputs as ((typeof identityNode.outputs)[number] & {
    types: Record<string, string>;
  })[]) {
    const table = name.split(".")[1]!;
    const isSame = (a: string, b: string) => key.map((column) => `${a}.${column} = ${b}.${column}`).join(" and ");
    const values = Object.keys(types).filter((column) => !key.includes(column));
    // As in a build, before anything goes: a key that is published already would break the primary key.
    if (added.some((other) => other.table === table))
      await database.pool.query(`insert into core.${table} select * from build_core.added_${table}`);
    await database.pool.query(
      `delete from core.${table} as t using build_core.touched_${table} as k where ${isSame("t", "k")}
         and not exists (select from build_core.${table} as b where ${isSame("t", "b")});
       insert into core.${table} select * from build_core.${table} on conflict (${key.join()})
         do ${values.length ? `update set ${values.map((column) => `${column} = excluded.${column}`).join()}` : "nothing"}`,
    );
  }
}

/** The tables of a schema, with people named by their anchors, since a new person's id is random. */
async function shown(schema: string): Promise<Record<string, unknown[]>> {
  const named = (column: string) =>
    `coalesce((select anchor_token from ${schema}.people as p where p.customer_id = t.${column}), '-') as ${column}`;
  const queries: Record<string, string> = {
    people: "anchor_token, is_anonymous",
    merged_people: `former_customer_id, ${named("customer_id")}, anchor_token, person_seq`,
    identifiers: `token, kind, ${named("customer_id")}, is_shared, is_blocked, linked_token, linked_record_key`,
    record_owners: `record_key, ${named("customer_id")}`,
    hidden_identifiers: "record_key, token",
    identity_conflicts: `stronger_token, weaker_token, record_key, reason, limit_kind, person_limit, ${named("customer_id")}, ${named("other_customer_id")}`,
  };
  const result: Record<string, unknown[]> = {};
  for (const [table, columns] of Object.entries(queries)) {
    const { rows } = await database.pool.query({
      text: `select ${columns} from ${schema}.${table} as t`,
      rowMode: "array",
    });
    result[table] = rows.map((each) => JSON.stringify(each)).toSorted();
  }
  return result;
}

function keyOf(contract: string, id: number): string {
  return `00000000-0000-4000-8000-${String(CONTRACTS.indexOf(contract)).padStart(6, "0")}${String(id).padStart(6, "0")}`;
}
