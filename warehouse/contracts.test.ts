import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { build, emptyWarehouse, graphOf, keepLandings, sqlFile as sql, touch } from "./models/test-warehouse.ts";
import type { ModelFile } from "./models/syntax.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await emptyWarehouse(database.pool);
  await query(`
    create table raw.shop__orders (record_key uuid primary key default gen_random_uuid(), deleted_at timestamptz, amount numeric(12,2), email_token text);
    create table raw.till__receipts (record_key uuid primary key default gen_random_uuid(), deleted_at timestamptz, amount numeric, card_token text);`);
  await keepLandings(database.pool, "raw.shop__orders", "raw.till__receipts");
  await query(`
    insert into raw.shop__orders (amount, email_token) values (1.50, 'email_x'), (2, null);
    insert into raw.shop__orders (amount, deleted_at) values (100, now());
    insert into raw.till__receipts (amount, card_token) values (3, 'card_y');`);
});

const query = async (text: string) => (await database.pool.query(text)).rows;
const CONTRACT = sql(
  "contracts/orders.yaml",
  'grain: One row per order.\ncolumns:\n  amount: { type: numeric, required: true, description: "Money" }\n  email_token: { type: text, description: "Who" }\n',
);
const shop = (select = "record_key, deleted_at, amount, email_token") =>
  sql(
    "models/staging/shop__orders.sql",
    `-- One row per order.\n-- contract: orders\nselect ${select} from raw.shop__orders`,
  );
const till = (select = "record_key, deleted_at, amount, null::text as email_token, card_token") =>
  sql(
    "models/staging/till__receipts.sql",
    `-- One row per receipt.\n-- contract: orders\nselect ${select} from raw.till__receipts`,
  );
const sources = [
  { name: "shop", streams: [{ name: "orders", schema: { properties: {} } }] },
  { name: "till", streams: [{ name: "receipts", schema: { properties: {} } }] },
] as never;
const graph = (...files: ModelFile[]) => graphOf([CONTRACT, ...files], [], { settings: { sources } });
const run = async (...files: ModelFile[]) => await build(database.pool, await graph(...files));
const rows = () =>
  query("select source, amount::text, email_token, card_token from core.orders order by source, amount");

describe("a contract", () => {
  test("joins the live records of all its sources, with further tokens, and describes its columns", async () => {
    await run(shop(), till());
    expect(await rows()).toEqual([
      { source: "shop", amount: "1.50", email_token: "email_x", card_token: null },
      { source: "shop", amount: "2.00", email_token: null, card_token: null },
      { source: "till", amount: "3", email_token: null, card_token: "card_y" },
    ]);
    expect(
      await query(`select attname as name, format_type(atttypid, atttypmod) as type, attnotnull as required, col_description(attrelid, attnum) is not null as described
        from pg_attribute where attrelid = 'core.orders'::regclass and attnum > 0 order by attnum`),
    ).toEqual([
      { name: "record_key", type: "uuid", required: true, described: true },
      { name: "source", type: "text", required: true, described: true },
      { name: "amount", type: "numeric", required: true, described: true },
      { name: "email_token", type: "text", required: false, described: true },
      { name: "card_token", type: "text", required: false, described: true },
    ]);
  });

  test("takes null for an optional column that a staging model leaves out, and its type where it is there", async () => {
    const text = CONTRACT.text.replace(
      "  email_token",
      '  note: { type: text, optional: true, description: "Said" }\n  email_token',
    );
    const noted = sql("contracts/orders.yaml", text);
    const withNote = till("record_key, deleted_at, amount, null::text as email_token, 'paid in cash' as note");
    await build(database.pool, await graphOf([noted, shop(), withNote], [], { settings: { sources } }));
    expect(await query("select source, note from core.orders order by source, amount")).toEqual([
      { source: "shop", note: null },
      { source: "shop", note: null },
      { source: "till", note: "paid in cash" },
    ]);
    const wrong = till("record_key, deleted_at, amount, null::text as email_token, 1 as note");
    const building = async () =>
      await build(database.pool, await graphOf([noted, shop(), wrong], [], { settings: { sources } }));
    await expect(building()).rejects.toThrow(/column note is integer, but contract orders asks for text/);
  });

  test("without any source is an empty table", async () => {
    await run();
    expect(await query("select * from core.orders")).toEqual([]);
    expect(
      await query(
        "select count(*)::int as n from pg_attribute where attrelid = 'core.orders'::regclass and attnum > 0",
      ),
    ).toEqual([{ n: 4 }]);
  });

  test("follows a source that comes, changes and goes", async () => {
    await run(shop());
    await run(shop(), till());
    expect(await rows()).toHaveLength(3);
    await query("update raw.shop__orders set deleted_at = case when deleted_at is null then now() end");
    await touch(database.pool, "raw.shop__orders");
    await run(shop(), till());
    expect((await rows()).map(({ amount }) => amount)).toEqual(["100.00", "3"]);
    await run(till());
    expect((await rows()).map(({ source }) => source)).toEqual(["till"]);
    expect(await query("select to_regclass('staging.shop__orders') as view")).toEqual([{ view: null }]);
  });

  test("takes a column of raw that came later, where the staging model says *", async () => {
    await query("alter table raw.shop__orders add column wrong_token integer");
    await expect(run(shop("*"), till())).rejects.toThrow(
      "sql/models/staging/shop__orders.sql: column wrong_token is integer, but a token is text; write ::text.",
    );
    await query("alter table raw.shop__orders drop column wrong_token");
    await run(shop("*"));
    await query("alter table raw.shop__orders add column loyalty_token text default 'loyalty_1'");
    const { plan } = await run(shop("*"));
    expect(plan.relations.find(({ relation }) => relation === "staging.shop__orders")!.reason).toBe(
      "columns of its raw table changed",
    );
    expect(await query("select distinct loyalty_token from core.orders")).toEqual([{ loyalty_token: "loyalty_1" }]);
  });

  test("refuses another type, naming file, column, type and mend", async () => {
    await expect(run(shop("record_key, deleted_at, amount::text as amount, email_token"))).rejects.toThrow(
      "sql/models/staging/shop__orders.sql: column amount is text, but contract orders asks for numeric; write ::numeric.",
    );
    await expect(
      run(shop("*, null::uuid as more"), till("record_key, deleted_at, amount, null as email_token, card_token")),
    ).resolves.toBeDefined();
  });

  test("refuses a star that lacks a column, once the database has told its columns", async () => {
    await query("alter table raw.shop__orders drop column email_token");
    await expect(run(shop("*"))).rejects.toThrow(
      "sql/models/staging/shop__orders.sql: lacks column email_token (text) of contract orders; add it, or null::text as email_token.",
    );
  });

  test("names the staging model whose records lack a required value", async () => {
    await query("update raw.till__receipts set amount = null");
    await expect(run(shop(), till())).rejects.toThrow(
      "sql/models/staging/till__receipts.sql: amount is null in some records, but contract orders requires it",
    );
  });
});
