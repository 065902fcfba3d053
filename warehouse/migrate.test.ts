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
