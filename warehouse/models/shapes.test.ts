import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { build, emptyWarehouse, graphOf, sqlFile as sql, touch } from "./test-warehouse.ts";
import { runChecks } from "./run-checks.ts";
import type { ModelFile } from "./syntax.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await emptyWarehouse(database.pool);
  await query(`
    create table raw.shop__orders (id integer primary key, buyer text, amount numeric);
    insert into raw.shop__orders values (1, 'ann', 10), (2, 'bob', 20), (3, 'ann', 30)`);
});

const query = async (text: string, values?: unknown[]) => (await database.pool.query(text, values)).rows;
const staging = sql(
  "models/staging/shop__orders.sql",
  "-- One row per order.\nselect id, buyer, amount from raw.shop__orders",
);
const orders = sql(
  "models/core/orders.sql",
  "-- One row per order.\n-- key: id\n-- foreign key: buyer -> core.buyers\n-- column buyer: who\nselect id, buyer, amount from staging.shop__orders",
);
const buyers = sql(
  "models/core/buyers.sql",
  "-- One row per buyer.\n-- key: buyer\nselect distinct buyer from staging.shop__orders",
);
const large = sql(
  "models/mart/large_orders.sql",
  "-- One row per large order.\n-- materialize: view\nselect o.id, o.amount from core.orders as o where o.amount > 15",
);
const largest = sql(
  "models/mart/largest_orders.sql",
  "-- One row per very large order.\n-- materialize: view\nselect l.id from mart.large_orders as l where l.amount > 25",
);
const FILES = [staging, orders, buyers, large, largest];

const run = async (files: ModelFile[], options = {}) => await build(database.pool, await graphOf(files), options);
const change = (file: ModelFile, from: string, to: string) =>
  FILES.map((other) => (other === file ? sql(file.path, file.text.replace(from, to)) : other));
const relations = async () =>
  (
    await query(
      "select relnamespace::regnamespace || '.' || relname as name, relkind from pg_class where relnamespace::regnamespace::text in ('staging', 'core', 'mart') and relkind in ('r', 'v') order by 1",
    )
  ).map(({ name, relkind }) => `${relkind} ${name}`);
const foreignKeys = async () =>
  (
    await query(
      "select conrelid::regclass || ' -> ' || confrelid::regclass as key, condeferred from pg_constraint where contype = 'f' and connamespace::regnamespace::text in ('core', 'mart') order by 1",
    )
  ).map(({ key, condeferred }) => `${key} ${condeferred}`);

describe("the first publish", () => {
  test("makes tables with keys, foreign keys, comments and grants, and views that read the published tables", async () => {
    await run(FILES);
    expect(await relations()).toEqual([
      "r core.buyers",
      "r core.orders",
      "v mart.large_orders",
      "v mart.largest_orders",
      "v staging.shop__orders",
    ]);
    expect(await foreignKeys()).toEqual(["core.orders -> core.buyers true"]);
    expect(await query("select id from mart.large_orders order by 1")).toEqual([{ id: 2 }, { id: 3 }]);
    expect(
      await query(
        "select obj_description('core.orders'::regclass) as a, col_description('core.orders'::regclass, 2) as b",
      ),
    ).toEqual([{ a: "One row per order.", b: "who" }]);
    expect(
      await query(
        "select has_table_privilege('analyst', 'mart.largest_orders', 'select') as mart, has_table_privilege('analyst', 'core.orders', 'select') as core",
      ),
    ).toEqual([{ mart: true, core: false }]);
    expect(await query("select pg_get_viewdef('mart.large_orders'::regclass) ~ 'build' as build")).toEqual([
      { build: false },
    ]);
  });

  test("passes a row that points at a row that is not there as an error of the relation, without values", async () => {
    const wrong = change(
      buyers,
      "select distinct buyer from staging.shop__orders",
      "select distinct buyer from staging.shop__orders where buyer = 'bob'",
    );
    const error = (await run(wrong).catch((reason: Error) => reason)) as Error;
    expect(error.message).toMatch(/a row points at a row that is not there, in core\.orders \(SQLSTATE 23503\)/);
    expect(JSON.stringify([error.message, error.cause])).not.toMatch(/ann/);
  });
});

describe("an edited model", () => {
  test("keeps its table when a column comes, goes, is renamed or changes its type, views over it included", async () => {
    await run(FILES);
    const oid = await query("select 'core.orders'::regclass::oid as oid");
    for (const [from, to, columns] of [
      [
        "select id, buyer, amount from",
        "select id, buyer, amount, amount * 2 as twice from",
        { id: 1, buyer: "ann", amount: "10", twice: "20" },
      ],
      [
        "select id, buyer, amount from",
        "select id, buyer, amount::integer as amount from",
        { id: 1, buyer: "ann", amount: 10 },
      ],
      [
        "select id, buyer, amount from",
        "select id, buyer, amount, buyer || '!' as shout from",
        { id: 1, buyer: "ann", amount: "10", shout: "ann!" },
      ],
    ] as const) {
      await run(change(orders, from, to));
      expect(await query("select * from core.orders where id = 1")).toEqual([columns]);
      expect(await query("select id from mart.largest_orders")).toEqual([{ id: 3 }]);
      expect(await foreignKeys()).toEqual(["core.orders -> core.buyers true"]);
    }
    expect(await query("select 'core.orders'::regclass::oid as oid")).toEqual(oid);
  });

  test("may get another key while others point at it", async () => {
    await run(FILES);
    const renamed = change(
      buyers,
      "-- key: buyer\nselect distinct buyer",
      "-- key: name\nselect distinct buyer as name",
    );
    await run(renamed);
    expect(await query("select name from core.buyers order by 1")).toEqual([{ name: "ann" }, { name: "bob" }]);
    expect(await foreignKeys()).toEqual(["core.orders -> core.buyers true"]);
    await query("insert into raw.shop__orders values (4, 'cid', 1)");
    await touch(database.pool, "raw.shop__orders");
    await run(renamed);
    expect(await query("select name from core.buyers order by 1")).toHaveLength(3);
  });

  test("may gain and lose not-null columns, foreign keys and descriptions", async () => {
    await run(FILES);
    await run(
      change(
        orders,
        "-- foreign key: buyer -> core.buyers\n-- column buyer: who",
        "-- not null: amount\n-- column amount: how much",
      ),
    );
    expect(await foreignKeys()).toEqual([]);
    expect(
      await query(
        "select attname, attnotnull, col_description(attrelid, attnum) as is from pg_attribute where attrelid = 'core.orders'::regclass and attnum > 0 order by 1",
      ),
    ).toEqual([
      { attname: "amount", attnotnull: true, is: "how much" },
      { attname: "buyer", attnotnull: false, is: null },
      { attname: "id", attnotnull: true, is: null },
    ]);
    await run(FILES);
    expect(await foreignKeys()).toEqual(["core.orders -> core.buyers true"]);
    expect(
      await query(
        "select attnotnull from pg_attribute where attrelid = 'core.orders'::regclass and attname = 'amount'",
      ),
    ).toEqual([{ attnotnull: false }]);
  });

  test("may turn from a view into a table and back, with views over it", async () => {
    await run(FILES);
    await run(change(large, "-- materialize: view", "-- key: id"));
    expect(await relations()).toContain("r mart.large_orders");
    expect(await query("select id from mart.largest_orders")).toEqual([{ id: 3 }]);
    await run(FILES);
    expect(await relations()).toContain("v mart.large_orders");
    expect(await query("select id from mart.largest_orders")).toEqual([{ id: 3 }]);
  });

  test("keeps the view over it as it is when a view is edited, and renames its column", async () => {
    await run(FILES);
    await run(change(large, "select o.id, o.amount", "select o.amount, o.id, o.buyer as who"));
    expect(await query("select id from mart.largest_orders")).toEqual([{ id: 3 }]);
    expect(await query("select who from mart.large_orders order by 1")).toEqual([{ who: "ann" }, { who: "bob" }]);
  });

  test("that is deleted takes its relation with it, in a whole build only", async () => {
    await run(FILES);
    const fewer = [
      staging,
      buyers,
      sql(orders.path, orders.text.replace("-- foreign key: buyer -> core.buyers\n", "")),
    ];
    await run(fewer, { select: ["orders"] });
    expect(await relations()).toContain("v mart.large_orders");
    const { plan, published } = await run(fewer);
    expect(
      plan.relations
        .filter(({ action }) => action === "drop")
        .map(({ relation }) => relation)
        .sort(),
    ).toEqual(["mart.large_orders", "mart.largest_orders"]);
    expect(published!.dropped.sort()).toEqual(["mart.large_orders", "mart.largest_orders"]);
    await run([staging, buyers]);
    expect(await relations()).toEqual(["r core.buyers", "v staging.shop__orders"]);
  });

  test("may be written in any script, with quoted names", async () => {
    const files = [
      ...FILES,
      sql(
        "models/mart/grüße.sql".replace("ü", "u").replace("ß", "ss"),
        `-- One row per order: größer, 日本語.\n-- key: id\n-- column "größe": wie viel\nselect\n  '日本語 é' as text, -- ü\n  o.id, /* ß core.orders */ o.amount as "größe"\nfrom "core".orders as o join CORE.buyers as b on b.buyer = o.buyer\n`,
      ),
    ];
    await run(files);
    await query("insert into raw.shop__orders values (4, 'zoé', 1)");
    await touch(database.pool, "raw.shop__orders");
    await run(files);
    expect(await query('select id, text, "größe" from mart.grusse where id = 4')).toEqual([
      { id: 4, text: "日本語 é", größe: "1" },
    ]);
  });
});

describe("a mistake that only the database sees", () => {
  test.each([
    [
      "a missing column",
      "select id, 'é日' as x,\n  buyers from core.orders",
      /^sql\/models\/mart\/wrong\.sql:4: column "buyers" does not exist\b.*/,
    ],
    [
      "a wrong type",
      "select id,\n\n  buyer + 1 as x from core.orders",
      /wrong\.sql:5: operator does not exist: text \+ integer/,
    ],
    [
      "an unknown function",
      "select id, frobnicate(buyer) as x from core.orders",
      /wrong\.sql:3: function frobnicate\(text\) does not exist/,
    ],
    [
      "a value that is no number",
      "select id, buyer::integer as x from core.orders",
      /^sql\/models\/mart\/wrong\.sql: a text is not of the type it is cast to \(SQLSTATE 22P02\)\.$/,
    ],
    [
      "a division by zero",
      "select id, 1 / (id - 1) as x from core.orders",
      /wrong\.sql: a division by zero; use nullif\(…, 0\) \(SQLSTATE 22012\)\.$/,
    ],
    [
      "a subquery of two rows",
      "select id, (select o.buyer from core.orders as o) as x from core.buyers as b, core.orders as c",
      /"id" is read beside/,
    ],
    [
      "a null key",
      "select nullif(id, 1) as id from core.orders",
      /wrong\.sql: a column that may not be null is null, in mart\.wrong\.id \(SQLSTATE 23502\)\.$/,
    ],
  ])("%s is told with the place and without any value", async (_, select, expected) => {
    const error = (await run([
      ...FILES,
      sql("models/mart/wrong.sql", `-- One row per order.\n-- key: id\n${select}`),
    ]).catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(expected);
    expect(JSON.stringify([error.message, error.cause])).not.toContain("ann");
  });

  test("the role that computes can write and read only what it needs", async () => {
    await run(FILES);
    const client = await database.pool.connect();
    await client.query("set role transformer");
    await expect(client.query("insert into core.buyers values ('eve')")).rejects.toThrow(/permission denied/);
    await expect(client.query("select from vault.identifiers")).rejects.toThrow(/permission denied/);
    client.release(true);
  });
});

describe("a plan", () => {
  const reasons = (plan: { relations: { relation: string; action: string; reason: string }[] }) =>
    Object.fromEntries(plan.relations.map(({ relation, action, reason }) => [relation, `${action}: ${reason}`]));

  test("says for each relation what a build would do and why, and writes nothing", async () => {
    const dry = await run(FILES, { dry: true });
    expect(reasons(dry.plan)["core.orders"]).toBe("full: never built");
    expect(await query("select from ops.builds")).toEqual([]);
    await run(FILES);
    expect(new Set(Object.values(reasons((await run(FILES, { dry: true })).plan)))).toEqual(
      new Set(["skip: nothing new"]),
    );
    const edited = reasons((await run(change(orders, "select id", "select  id"), { dry: true })).plan);
    expect(edited).toMatchObject({
      "staging.shop__orders": "skip: nothing new",
      "core.buyers": "skip: nothing new",
      "core.orders": "full: its definition changed",
      "mart.large_orders": "full: core.orders is computed",
    });
    await touch(database.pool, "raw.shop__orders");
    expect(reasons((await run(FILES, { dry: true })).plan)).toMatchObject({
      "staging.shop__orders": "skip: raw.shop__orders changed, as the view shows",
      "core.buyers": "full: staging.shop__orders changed, which it does not follow",
    });
    await query("alter table raw.shop__orders add column more text");
    await run(FILES, { select: ["+buyers"] });
    expect(reasons((await run(FILES, { dry: true, select: ["large_orders"] })).plan)).toMatchObject({
      "core.orders": "skip: not selected",
    });
  });

  test("computes again on the next day what reads the day, and after a change of settings what reads them", async () => {
    const aged = sql(
      "models/mart/ages.sql",
      "-- One row per order.\n-- key: id\nselect id, ops.as_of() as day, ops.currency() as currency from core.orders",
    );
    const files = [...FILES, aged];
    const at =
      (now: string, currency = "EUR") =>
      async () =>
        build(database.pool, await graphOf(files, ["orders"], { settings: { currency } }), { now: new Date(now) });
    await at("2026-05-01T10:00Z")();
    expect((await at("2026-05-01T21:00Z")()).plan.buildId).toBeNull();
    expect(reasons((await at("2026-05-01T22:00Z")()).plan)).toMatchObject({
      "mart.ages": "full: the day changed",
      "core.orders": "skip: nothing new",
    });
    expect(await query("select distinct day from mart.ages")).toEqual([{ day: "2026-05-01 22:00:00+00" }]);
    expect(reasons((await at("2026-05-02T10:00Z", "USD")()).plan)).toMatchObject({
      "mart.ages": "full: the reporting currency changed",
    });
    expect(await query("select distinct currency from mart.ages")).toEqual([{ currency: "USD" }]);
  });

  test("sees what lands in a raw table's history, which moves with the table", async () => {
    await query("create table raw.shop__orders__history (id integer, amount numeric)");
    const past = sql(
      "models/staging/shop__past.sql",
      "-- One row per superseded order.\nselect id, amount from raw.shop__orders__history",
    );
    const pasts = sql(
      "models/core/pasts.sql",
      "-- One row per order with a past.\n-- key: id\nselect id, count(*) as versions from staging.shop__past group by id",
    );
    await run([past, pasts]);
    await query("insert into raw.shop__orders__history values (1, 2), (1, 3)");
    await touch(database.pool, "raw.shop__orders");
    expect(reasons((await run([past, pasts])).plan)["staging.shop__past"]).toBe(
      "skip: raw.shop__orders__history changed, as the view shows",
    );
    expect(await query("select id, versions::int from core.pasts")).toEqual([{ id: 1, versions: 2 }]);
    expect((await run([past, pasts])).plan.buildId).toBeNull();
  });

  test("of a part runs the checks whose relations are there; checking alone names what is not", async () => {
    const check = sql(
      "checks/large.sql",
      "-- Orders are large.\n-- severity: error\nselect id from mart.large_orders where amount < 15",
    );
    const part = { select: ["core.buyers", "+core.orders"] };
    const { published } = await run([...FILES, check], part);
    expect(published!.checks).toEqual([]);
    await query("update raw.shop__orders set amount = amount + 100");
    await touch(database.pool, "raw.shop__orders");
    const again = await run([...FILES, check], part);
    expect(again.plan.steps).toEqual([]);
    expect(again.published!.checks).toEqual([]);
    await expect(runChecks(database.pool, await graphOf([...FILES, check]))).rejects.toThrow(
      'sql/checks/large.sql:3: reads mart.large_orders, which was never built; run "miette build" first.',
    );
    expect((await run([...FILES, check])).published!.checks).toMatchObject([{ name: "large", rows: 0 }]);
  });

  test("of a part asks for what the part needs", async () => {
    await expect(run(FILES, { select: ["mart.large_orders"] })).rejects.toThrow(
      "needs core.orders, which was never built; select +mart.large_orders.",
    );
    const { published } = await run(FILES, { select: ["core.buyers,+core.orders"] });
    expect(published!.relations.map(({ relation }) => relation).sort()).toEqual(["core.buyers", "core.orders"]);
  });

  test("names the sync that a model waits for", async () => {
    await query("drop table raw.shop__orders");
    await expect(run(FILES)).rejects.toThrow(
      'sql/models/staging/shop__orders.sql: reads raw.shop__orders, which has not landed yet; run "miette sync shop.orders" first.',
    );
  });
});
