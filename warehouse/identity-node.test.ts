import type { PoolClient } from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { IdentifierRule } from "../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { inTransaction, quoteName } from "./database.ts";
import { identityNode } from "./identity-node.ts";

const NOBODY = "00000000-0000-0000-0000-000000000000";
const OUTPUTS = identityNode.outputs.map((output) => output.name);
const RULES: IdentifierRule[] = [
  { kind: "customer_id", limit: 1, blocked: [], sharedAbove: null, window: null },
  { kind: "email", limit: 2, blocked: ["*@example.com"], sharedAbove: null, window: null },
  { kind: "phone", limit: 3, blocked: [], sharedAbove: null, window: null },
  { kind: "name_birth", limit: null, blocked: [], sharedAbove: null, window: null },
  { kind: "device_id", limit: 50, blocked: [], sharedAbove: 2, window: null },
];

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
  await database.pool.query(`
    create table core.customers (record_key uuid, source text, customer_ref text, email_token text, phone_token text,
      name_birth_token text, country text);
    create table core.events (record_key uuid, source text, name text, device_token text, customer_ref text,
      email_token text, product_ref text);
    create table core.orders (record_key uuid, source text, order_number text, customer_ref text, email_token text);
    create table core.order_lines (record_key uuid, source text, order_record_key uuid, product_ref text);
    create table core.reviews (record_key uuid, source text, customer_ref text, email_token text, order_record_key uuid);
    create table core.consents (record_key uuid, source text, customer_ref text, email_token text);
    create table core.tickets (record_key uuid, source text, customer_ref text, email_token text);
    grant select on all tables in schema core to transformer`);
});
afterEach(() => database.drop());

test("customers, orders, events and reviews that share identifiers belong to one person", async () => {
  await insert("customers", [{ record_key: key(1), customer_ref: "customer_id_1", email_token: "email_a" }]);
  await insert("orders", [{ record_key: key(2), customer_ref: "customer_id_1" }, { record_key: key(3) }]);
  await insert("events", [
    { record_key: key(4), device_token: "device_id_1", email_token: "email_a" },
    { record_key: key(5), device_token: "device_id_1" },
    { record_key: key(6), device_token: "device_id_2" },
  ]);
  await insert("order_lines", [
    { record_key: key(7), order_record_key: key(2) },
    { record_key: key(8), order_record_key: key(3) },
  ]);
  await insert("reviews", [{ record_key: key(9), email_token: "email_b", order_record_key: key(2) }]);
  expect(await build()).toEqual({
    "core.people": 4,
    "core.merged_people": 0,
    "core.identifiers": 5,
    "core.record_owners": 7,
    "core.hidden_identifiers": 0,
    "core.identity_conflicts": 0,
  });
  const owners = await ownersByRecord();
  const known = owners.get(key(1));
  expect([2, 4, 5, 7].map((i) => owners.get(key(i)))).toEqual([known, known, known, known]);
  expect(new Set(owners.values()).size).toBe(3);
  expect([3, 8].map((i) => owners.has(key(i)))).toEqual([false, false]);

  const people = await rows("select anchor_token, is_anonymous, person_seq::int from core.people order by person_seq");
  expect(people).toEqual([
    { anchor_token: null, is_anonymous: true, person_seq: 0 },
    { anchor_token: "customer_id_1", is_anonymous: false, person_seq: 1 },
    { anchor_token: "email_b", is_anonymous: false, person_seq: 2 },
    { anchor_token: "device_id_2", is_anonymous: true, person_seq: 3 },
  ]);
  const ids = await rows<{ id: string }>("select customer_id as id from core.people where person_seq > 0");
  for (const { id } of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);

  const links = await rows(
    "select token, linked_token, linked_record_key from core.identifiers where linked_token is not null order by token",
  );
  expect(links).toEqual([
    { token: "device_id_1", linked_token: "email_a", linked_record_key: key(4) },
    { token: "email_a", linked_token: "customer_id_1", linked_record_key: key(1) },
  ]);
});

test("every declared key, foreign key and NOT NULL holds, and every column is described", async () => {
  await insertTrouble();
  await build();
  for (const output of identityNode.outputs) {
    const { rows: columns } = await database.pool.query<{ name: string }>(
      "select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0",
      [output.name],
    );
    expect(Object.keys(output.columns)).toEqual(columns.map(({ name }) => name));
    const table = quoteName(...output.name.split("."));
    await database.pool.query(`alter table ${table} add primary key (${output.key.join(", ")})`);
    for (const column of output.notNull) await database.pool.query(`alter table ${table} alter ${column} set not null`);
  }
  for (const output of identityNode.outputs) {
    for (const { columns, references } of output.foreignKeys) {
      await database.pool.query(
        `alter table ${output.name} add foreign key (${columns.join()}) references ${references}`,
      );
    }
  }
});

test("shared and blocked identifiers link nobody and are nobody's; a refused link is a conflict", async () => {
  await insertTrouble();
  await build();
  const identifiers = await rows(
    `select token, customer_id = ops.nobody() as nobody, is_shared, is_blocked from core.identifiers
     where kind in ('email', 'device_id') order by token`,
  );
  expect(identifiers).toEqual([
    { token: "device_id_t", nobody: true, is_shared: true, is_blocked: false },
    { token: "email_a", nobody: false, is_shared: false, is_blocked: false },
    { token: "email_test", nobody: true, is_shared: false, is_blocked: true },
  ]);
  const owners = await ownersByRecord();
  expect([owners.has(key(4)), owners.has(key(6))]).toEqual([false, false]);
  const conflicts = await rows(
    `select c.*, i.token from core.identity_conflicts as c
     join core.identifiers as i on i.customer_id = c.other_customer_id and i.kind = 'email'`,
  );
  expect(conflicts).toEqual([
    {
      stronger_token: "customer_id_2",
      weaker_token: "email_a",
      record_key: key(2),
      reason: "limit",
      limit_kind: "customer_id",
      person_limit: 1,
      customer_id: owners.get(key(2)),
      other_customer_id: owners.get(key(1)),
      token: "email_a",
    },
  ]);
});

test("a second build writes the same rows, and so does one of the same records in another order", async () => {
  await insertTrouble();
  await build();
  const first = await everything();
  await build();
  expect(await everything()).toEqual(first);
  await database.pool.query(`
    create temp table shuffled as select * from core.customers;
    truncate core.customers;
    insert into core.customers select * from shuffled order by record_key desc`);
  await build();
  expect(await everything()).toEqual(first);
});

test("a person keeps its id when it signs in, a merge keeps the older id and a split gives the anchor's part the old one", async () => {
  await insert("events", [{ record_key: key(1), device_token: "device_id_1" }]);
  await build();
  const visitor = (await ownersByRecord()).get(key(1));

  await insert("customers", [{ record_key: key(2), customer_ref: "customer_id_1", email_token: "email_a" }]);
  await build();
  const customer = (await ownersByRecord()).get(key(2));
  expect(customer).not.toBe(visitor);

  await insert("events", [{ record_key: key(3), device_token: "device_id_1", customer_ref: "customer_id_1" }]);
  await build();
  expect([...(await ownersByRecord()).values()]).toEqual([visitor, visitor, visitor]);

  await database.pool.query("delete from core.events where record_key = $1", [key(3)]);
  await build();
  const split = await ownersByRecord();
  expect(split.get(key(1))).toBe(visitor);
  expect([visitor, NOBODY]).not.toContain(split.get(key(2)));
});

test("a customer first seen on a tablet keeps its id when the whole family signs in on it", async () => {
  await insert("events", [{ record_key: key(1), device_token: "device_id_t" }]);
  await build();
  const visitor = (await ownersByRecord()).get(key(1));
  const signIn = (i: number) => ({ record_key: key(i), device_token: "device_id_t", customer_ref: `customer_id_${i}` });
  await insert("events", [signIn(2)]);
  await build();
  await insert("events", [signIn(3), signIn(4)]);
  await build();
  const owners = await ownersByRecord();
  expect(owners.has(key(1))).toBe(false);
  expect(owners.get(key(2))).toBe(visitor);
  expect(new Set(owners.values()).size).toBe(3);
});

test("a record that two contracts show counts once, and a project's own match keys link", async () => {
  await insert("customers", [
    { record_key: key(1), customer_ref: "customer_id_1", name_birth_token: "name_birth_x" },
    { record_key: key(2), email_token: "email_b", name_birth_token: "name_birth_x" },
  ]);
  await insert("consents", [{ record_key: key(1), email_token: "email_a" }]);
  const counts = await build();
  expect(counts).toMatchObject({ "core.people": 2, "core.record_owners": 2, "core.identifiers": 4 });
});

test("an order without a usable identifier of its own is nobody's, its review is the reviewer's", async () => {
  await database.pool.query("insert into ops.blocked_identifiers values ('email_test', 'email')");
  await insert("orders", [{ record_key: key(1), email_token: "email_test" }]);
  await insert("reviews", [
    { record_key: key(2), email_token: "email_a", order_record_key: key(1) },
    { record_key: key(3), email_token: "email_test", order_record_key: key(1) },
  ]);
  await insert("order_lines", [{ record_key: key(4), order_record_key: key(1) }]);
  await build();
  expect([...(await ownersByRecord()).keys()]).toEqual([key(2)]);
});

test("without rules or without records nobody is all there is", async () => {
  expect(await build()).toMatchObject({ "core.people": 1, "core.identifiers": 0 });
  await insertTrouble();
  expect(await build([])).toMatchObject({ "core.people": 1, "core.identifiers": 0, "core.record_owners": 0 });
  expect(await rows("select customer_id from core.people")).toEqual([{ customer_id: NOBODY }]);
});

/** A tablet of three customers, a blocked test address, and an address that two customers claim. */
async function insertTrouble(): Promise<void> {
  await database.pool.query(
    "insert into ops.blocked_identifiers values ('email_test', 'email'), ('email_unseen', 'email')",
  );
  await insert("customers", [
    { record_key: key(1), customer_ref: "customer_id_1", email_token: "email_a", phone_token: "phone_1" },
    { record_key: key(2), customer_ref: "customer_id_2", email_token: "email_a" },
    { record_key: key(3), customer_ref: "customer_id_3", email_token: "email_test" },
    { record_key: key(4), email_token: "email_test" },
    { record_key: key(5), phone_token: "phone_2", email_token: "email_test" },
  ]);
  await insert("events", [
    { record_key: key(6), device_token: "device_id_t" },
    ...[1, 2, 3].map((i) => ({
      record_key: key(6 + i),
      device_token: "device_id_t",
      customer_ref: `customer_id_${i}`,
    })),
  ]);
}

/** Computes as the transformer would and publishes by moving the tables. */
async function build(identifiers = RULES): Promise<Record<string, number>> {
  const published = await rows("select from pg_tables where schemaname = 'core' and tablename = 'people'");
  const compute = async (client: PoolClient) => {
    await client.query("set local role transformer");
    return await identityNode.compute({
      client,
      rules: { identifiers },
      input: (relation) => quoteName(...relation.split(".")),
      output: (relation) => quoteName("build_core", relation.split(".")[1]!),
      published: (relation) => (published.length ? quoteName(...relation.split(".")) : null),
    });
  };
  const counts = await inTransaction(database.pool, compute, "begin isolation level repeatable read");
  for (const output of OUTPUTS) {
    const name = output.split(".")[1]!;
    const built = await database.pool.query(`select from build_core.${name}`);
    expect(built.rowCount).toBe(counts[output]);
    await database.pool.query(`drop table if exists core.${name}`);
    await database.pool.query(`alter table build_core.${name} set schema core`);
  }
  await database.pool.query("grant select on all tables in schema core to transformer");
  return counts;
}

async function insert(contract: string, records: Record<string, string>[]): Promise<void> {
  await database.pool.query(
    `insert into core.${contract} select * from json_populate_recordset(null::core.${contract}, $1)`,
    [JSON.stringify(records.map((record) => ({ source: "shop", ...record })))],
  );
}

async function ownersByRecord(): Promise<Map<string, string>> {
  const owners = await rows<{ record_key: string; customer_id: string }>(
    "select record_key, customer_id from core.record_owners order by record_key",
  );
  return new Map(owners.map(({ record_key, customer_id }) => [record_key, customer_id]));
}

async function everything(): Promise<unknown> {
  const tables = identityNode.outputs.map(({ name, key }) => rows(`select * from ${name} order by ${key.join(", ")}`));
  return await Promise.all(tables);
}

async function rows<Row extends object>(query: string): Promise<Row[]> {
  return (await database.pool.query<Row>(query)).rows;
}

function key(i: number): string {
  return `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;
}
