import { afterAll, beforeAll, expect, test } from "vitest";
import type { StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testStream } from "../../test/landing.ts";
import type { Vault } from "../vault.ts";
import { listQuarantine, openQuarantine } from "./quarantine.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const people: StreamSchema = {
  type: "object",
  required: ["id"],
  properties: {
    id: { type: "integer", personal: "account_id", identifier: "customer_id" },
    email: { type: ["string", "null"], personal: "email", identifier: "email", keep: ["domain"] },
    full_name: { type: ["string", "null"], personal: "name" },
    birth_date: { type: ["string", "null"], format: "date", personal: "birth_date", keep: ["year"] },
    page: { type: ["string", "null"] },
  },
  match_keys: { name_birth: ["full_name", "birth_date"] },
};

test("no plaintext of a personal field reaches a column, and the same person has the same tokens", async () => {
  const stream = testStream(people);
  await syncPages(database.pool, vault, stream, [
    {
      records: [
        {
          id: 7,
          email: " Zoe.Canary@Victim.Test",
          full_name: "Zzyzx Canaryson",
          birth_date: "1981-02-03",
          page: "/x?mail=zoe.canary%40victim.test",
          loyalty: "canary-gold",
        },
        { id: 8, email: "zoe.canary@victim.test", full_name: "ZZYZX  canaryson", birth_date: "1981-02-03", page: null },
      ],
    },
  ]);
  const { rows } = await database.pool.query(`select * from raw.shop__${stream.name} order by page nulls last`);
  const [first, second] = rows as Record<string, string>[];
  expect(JSON.stringify(rows)).not.toMatch(/canary|zzyzx/i);
  expect(first?.["email"]).toMatch(/^email_[0-9a-f]{32}$/);
  expect(second?.["email"]).toBe(first?.["email"]);
  expect(second?.["name_birth"]).toBe(first?.["name_birth"]);
  expect(first).toMatchObject({
    email_domain: "victim.test",
    birth_date_year: 1981,
    page: `/x?mail=${first?.["email"]}`,
  });
  expect(first?.["owner_token"]).toMatch(/^customer_id_/);
  const { rows: stored } = await database.pool.query(
    "select encode(sealed, 'escape') as sealed from vault.identifiers",
  );
  expect(JSON.stringify(stored)).not.toMatch(/canary/i);
});

test("a field that is absent is null where the schema does not require it, and its record is rejected where it does", async () => {
  const schema: StreamSchema = {
    type: "object",
    required: ["id", "country"],
    properties: { id: { type: "integer" }, country: { type: ["string", "null"] }, amount: { type: "number" } },
  };
  const stream = testStream(schema);
  const records = [{ id: 1, country: null }, { id: 2 }, { id: 3, country: "FR", amount: null }];
  expect(await syncPages(database.pool, vault, stream, [{ records }])).toMatchObject({ inserted: 1, rejected: 2 });
  const landed = await database.pool.query(`select id, country, amount from raw.shop__${stream.name}`);
  expect(landed.rows).toEqual([{ id: "1", country: null, amount: null }]);
  const rejected = await database.pool.query(
    "select reason, pointer from ops.quarantine where stream = $1 order by reason",
    [stream.name],
  );
  expect(rejected.rows).toEqual([
    { reason: "missing_field", pointer: "/country" },
    { reason: "null_not_allowed", pointer: "/amount" },
  ]);
});

test("a record that breaks its schema is sealed in quarantine with its reason and place, and the sync goes on", async () => {
  const stream = testStream(people);
  const report = await syncPages(database.pool, vault, stream, [
    {
      records: [
        { id: "canary@victim.test", email: null, full_name: null, birth_date: null, page: null },
        { id: 1, email: null, full_name: null, birth_date: "2024-02-30", page: null },
        { id: 2, full_name: "ok" },
      ],
    },
  ]);
  expect(report).toMatchObject({ inserted: 1, rejected: 2 });
  const listed = (await listQuarantine(database.pool)).filter((row) => row.stream === stream.name);
  expect(listed.map(({ reason, pointer, records }) => ({ reason, pointer, records }))).toEqual(
    expect.arrayContaining([
      { reason: "wrong_type", pointer: "/id", records: 1 },
      { reason: "not_a_date", pointer: "/birth_date", records: 1 },
    ]),
  );
  const { rows } = await database.pool.query("select encode(sealed, 'escape') as sealed, tokens from ops.quarantine");
  expect(JSON.stringify(rows)).not.toMatch(/canary/);
  const opened = await openQuarantine(database.pool, vault, { source: "shop", stream: stream.name, limit: 10 });
  expect(opened.map(({ received }) => received).join()).toContain("canary@victim.test");
});
