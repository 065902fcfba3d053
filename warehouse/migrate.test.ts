import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { migrate } from "./migrate.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test("migrating a migrated warehouse applies nothing", async () => {
  expect(await migrate(database.url)).toEqual([]);
});

test("an older version is refused in a sentence, and changes nothing", async () => {
  await database.pool.query(
    "insert into ops.migrations (name, batch, migration_time) values ('999_later.sql', 99, now())",
  );
  await expect(migrate(database.url)).rejects.toThrow(
    /^the warehouse was migrated by a newer version \(999_later\.sql\), and migrations only go forward; run that version/,
  );
  await database.pool.query("delete from ops.migrations where name = '999_later.sql'");
  expect(await migrate(database.url)).toEqual([]);
});

test("links between identifiers that the version before kept in a table stand with the identifiers", async () => {
  const { pool } = database;
  await pool.query(`
    create table core.people (customer_id uuid primary key, anchor_token text);
    create table core.identifiers (token text primary key, customer_id uuid);
    create table core.identity_merges (stronger_token text, weaker_token text, record_key uuid, primary key (stronger_token, weaker_token));
    insert into core.people values (md5('ada')::uuid, 'email_b'), (md5('ben')::uuid, 'email_c'), (ops.nobody(), null);
    insert into core.identifiers select token, md5('ada')::uuid from unnest('{email_a,email_b,device_id_a,phone_a}'::text[]) as token;
    insert into core.identifiers values ('email_c', md5('ben')::uuid), ('device_id_shared', ops.nobody());
    insert into core.identity_merges values
      ('email_a', 'device_id_a', md5('1')::uuid), ('email_b', 'device_id_a', md5('2')::uuid), ('email_a', 'phone_a', null);
    delete from ops.migrations where name = '029_linked_identifiers.sql'`);
  expect(await migrate(database.url)).toEqual(["029_linked_identifiers.sql"]);
  const { rows } = await pool.query<{ token: string; linked: string; record: string | null }>(
    `select token, linked_token as linked, case linked_record_key when md5('1')::uuid then '1' when md5('2')::uuid then '2' end as record
     from core.identifiers where linked_token is not null or linked_record_key is not null order by token`,
  );
  expect(rows).toEqual([
    { token: "device_id_a", linked: "email_b", record: "2" },
    { token: "email_a", linked: "device_id_a", record: "1" },
    { token: "phone_a", linked: "email_a", record: null },
  ]);
  expect((await pool.query("select to_regclass('core.identity_merges') as gone")).rows).toEqual([{ gone: null }]);
  await pool.query("drop table core.people, core.identifiers");
});

test("the shared member that stands for nobody is one fixed id", async () => {
  const { rows } = await database.pool.query<{ id: string }>("select ops.nobody() as id");
  expect(rows).toEqual([{ id: "00000000-0000-0000-0000-000000000000" }]);
});

test("the analyst can't make temporary tables", async () => {
  const client = await database.pool.connect();
  await client.query("set role analyst");
  await expect(client.query("create temp table t (a int)")).rejects.toThrow(/permission denied/);
  client.release(true);
});
