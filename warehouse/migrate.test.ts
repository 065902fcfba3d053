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
