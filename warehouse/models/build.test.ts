import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PoolClient } from "pg";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { computeContracts, computeModel } from "./compute.ts";
import { planBuild } from "./plan.ts";
import { ChecksFailed } from "./publish-result.ts";
import { publish } from "./publish.ts";
import type { ModelNode, RelationSpec } from "./relation.ts";
import { build, compute, emptyWarehouse, graphOf, sqlFile, touch } from "./test-warehouse.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** An empty warehouse with one raw table. */
beforeEach(async () => {
  await emptyWarehouse(database.pool);
  await query(`
    create table raw.shop__orders (id integer primary key, buyer text, amount numeric, extra json, deleted_at timestamptz);
    insert into raw.shop__orders select i, 'b' || i % 3, i * 1.5, json_build_object('i', i) from generate_series(1, 20) i`);
});

const query = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;
const sql = sqlFile;
const staging = sql(
  "models/staging/shop__orders.sql",
  "-- One row per order.\nselect id, buyer, amount, extra, deleted_at from raw.shop__orders\n",
);
const orders = sql(
  "models/core/orders.sql",
  "-- One row per order.\n-- key: id\n-- not null: buyer\nselect id, buyer, amount, extra from staging.shop__orders where deleted_at is null\n",
);
const buyers = sql(
  "models/mart/buyers.sql",
  "-- One row per buyer.\n-- key: buyer\nselect buyer, count(*) as orders, sum(amount) as amount from core.orders group by buyer\n",
);
const BASE = [staging, orders, buyers];

/** Runs `work` with a connection of its own. */
async function withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await database.pool.connect();
  try {
    return await work(client);
  } finally {
    client.release(true);
  }
}

const totals = () => query("select buyer, orders::int, amount::float8 from mart.buyers order by 1");
const replace = (path: string, text: string) => [...BASE.filter((file) => file.path !== path), sql(path, text)];

describe("publishing differences", () => {
  test("gives what a full build would, after any changes, and writes only the rows that differ", async () => {
    const graph = await graphOf(BASE);
    await build(database.pool, graph);
    let seed = 7;
    const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    for (let round = 0; round < 12; round++) {
      const changes = Array.from({ length: 1 + random(6) }, () => {
        const id = 1 + random(30);
        return [
          `insert into raw.shop__orders values (${id}, 'b${random(5)}', ${random(9)}.${"0".repeat(random(3))}1) on conflict do nothing`,
          `update raw.shop__orders set amount = amount + 1 where id = ${id}`,
          `update raw.shop__orders set buyer = 'b${random(5)}', extra = null where id = ${id}`,
          `update raw.shop__orders set extra = '{"i":  ${random(3)}}' where id = ${id}`,
          `update raw.shop__orders set deleted_at = case when deleted_at is null then now() end where id = ${id}`,
          `delete from raw.shop__orders where id = ${id}`,
        ][random(6)]!;
      });
      const before = await query("select id, o::text as row, xmin from core.orders o");
      await query(changes.join(";"));
      await touch(database.pool, "raw.shop__orders");
      const { published } = await build(database.pool, graph);
      const after = await query("select id, o::text as row, xmin from core.orders o order by id");
      expect(after.map(({ row }) => row)).toEqual(
        (
          await query(
            "select (id, buyer, amount, extra)::text as row from raw.shop__orders where deleted_at is null order by id",
          )
        ).map(({ row }) => row),
      );
      expect(await totals()).toEqual(
        await query(
          "select buyer, count(*)::int as orders, sum(amount)::float8 as amount from raw.shop__orders where deleted_at is null group by 1 order by 1",
        ),
      );
      // A row that is the same is the same version of it.
      const old = new Map(before.map(({ id, row, xmin }) => [id, { row, xmin }]));
      for (const { id, row, xmin } of after) if (old.get(id)?.row === row) expect(xmin).toBe(old.get(id)!.xmin);
      const changed = after.filter(({ id, row }) => old.get(id)?.row !== row).length;
      const gone = before.filter(({ id }) => !after.some((row) => row.id === id)).length;
      const counts = published!.relations.find((relation) => relation.relation === "core.orders")!;
      expect(counts.inserted + counts.updated).toBe(changed);
      expect(counts.deleted).toBe(gone);
    }
  });

  test("moves a relation's version only when its rows changed, so what reads it rests", async () => {
    const graph = await graphOf(BASE);
    await build(database.pool, graph);
    await query("update raw.shop__orders set extra = '{}' where id = 1");
    await touch(database.pool, "raw.shop__orders");
    await build(database.pool, graph);
    const versions = await query(
      "select relation, version::int from ops.relation_state where relation !~ 'staging' order by 1",
    );
    expect(versions).toEqual([
      { relation: "core.orders", version: 2 },
      { relation: "mart.buyers", version: 1 },
      { relation: "raw.shop__orders", version: 1 },
    ]);
    const { plan } = await build(database.pool, graph);
    expect(plan.buildId).toBeNull();
  });

  test("refuses rows of the same key, published ones included, without naming a value", async () => {
    const twice = replace(
      "models/core/orders.sql",
      orders.text
        .replace("from staging", "from (values (1), (2)) as n (n) cross join staging")
        .replace("select id, buyer, amount, extra", "select o.id, o.buyer, o.amount, o.extra")
        .replace("shop__orders", "shop__orders as o")
        .replace("where", "where o.id + n.n < 4 and o."),
    );
    const message = /core\.orders: several rows have the same key \(id\)/;
    await expect(build(database.pool, await graphOf(twice))).rejects.toThrow(message);
    await query("delete from raw.shop__orders where id > 2");
    await build(database.pool, await graphOf(BASE));
    await expect(build(database.pool, await graphOf(twice))).rejects.toThrow(message);
  });
});

describe("a failing check", () => {
  const check = sql(
    "checks/no_debts.sql",
    "-- Nobody owes.\n-- severity: error\nselect buyer from mart.buyers where amount < 0\n",
  );
  const warning = sql(
    "checks/few_orders.sql",
    "-- Buyers buy little.\n-- severity: warn\nselect buyer from mart.buyers where orders > 3\n",
  );

  test("publishes nothing, tells which and how many, and does not stand in the way of the next build", async () => {
    const graph = await graphOf([...BASE, check, warning]);
    const { published } = await build(database.pool, graph);
    expect(published!.checks.map(({ name, severity, rows }) => ({ name, severity, rows }))).toEqual(
      [
        { name: "no_debts", severity: "error", rows: 0 },
        { name: "few_orders", severity: "warn", rows: 3 },
      ].toSorted((a, b) => (a.name < b.name ? 1 : -1)),
    );
    const before = await totals();
    await query("update raw.shop__orders set amount = -1000 where id in (1, 2)");
    await touch(database.pool, "raw.shop__orders");
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await publish(database.pool, graph, plan.buildId!).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ChecksFailed);
      expect(error).toMatchObject({ code: "check_failed", retryable: false });
      expect((error as Error).message).toBe(
        "nothing was published, since checks failed: no_debts (sql/checks/no_debts.sql): 2 rows.",
      );
    }
    expect(await totals()).toEqual(before);
    await query("update raw.shop__orders set amount = 1 where id in (1, 2)");
    await touch(database.pool, "raw.shop__orders");
    await build(database.pool, graph);
    expect(await totals()).not.toEqual(before);
  });

  test("can't write, whatever it says", async () => {
    const sneaky = sql("checks/sneaky.sql", "-- Sneaky.\nselect o.id, o.nothing from core.orders as o\n");
    await expect(build(database.pool, await graphOf([...BASE, sneaky]))).rejects.toThrow(
      "sql/checks/sneaky.sql:2: column o.nothing does not exist",
    );
  });
});

describe("readers", () => {
  test("see the state of before until the publish is whole, and never wait for it", async () => {
    const graph = await graphOf(BASE);
    await build(database.pool, graph);
    const before = await totals();
    await query("update raw.shop__orders set amount = amount * 2");
    await touch(database.pool, "raw.shop__orders");
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    await withClient(async (blocker) => {
      // The publish stands before its last statement while this is held: everything else is done.
      await blocker.query("begin; lock table privacy.epoch in exclusive mode");
      const publishing = publish(database.pool, graph, plan.buildId!);
      await waitForBlocked("select epoch, moving_xid");
      // A reader that waited for the publish would wait for ever, since that waits for the blocker.
      expect(await totals()).toEqual(before);
      await blocker.query("rollback");
      await publishing;
    });
    expect(await totals()).toEqual(before.map((row) => ({ ...row, amount: row.amount * 2 })));
  });

  test("who stay in a transaction keep neither a publish of rows nor see half of it", async () => {
    const graph = await graphOf(BASE);
    await build(database.pool, graph);
    await withClient(async (reader) => {
      await reader.query("begin isolation level repeatable read");
      const sum = async () =>
        (await reader.query("select sum(amount)::float8 as sum from mart.buyers")).rows[0]!.sum as number;
      const before = await sum();
      await query("delete from raw.shop__orders where id > 10");
      await touch(database.pool, "raw.shop__orders");
      await build(database.pool, graph);
      expect(await sum()).toBe(before);
      expect((await query("select sum(orders)::int as n from mart.buyers"))[0]).toEqual({ n: 10 });
    });
  });

  test("are asked to wait only shortly where a shape changes, and the publish comes back for it", async () => {
    await build(database.pool, await graphOf(BASE));
    const graph = await graphOf(
      replace("models/mart/buyers.sql", buyers.text.replace("count(*)", "min(id) as first_id, count(*)")),
    );
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    await withClient(async (reader) => {
      await reader.query("begin; select from mart.buyers");
      const publishing = publish(database.pool, graph, plan.buildId!);
      await waitForBlocked("lock table");
      // Another reader queues behind the publish until that gives up its place.
      await totals();
      await reader.query("rollback");
      await publishing;
    });
    expect(await query("select first_id from mart.buyers order by 1")).toEqual([
      { first_id: 1 },
      { first_id: 2 },
      { first_id: 3 },
    ]);
  });
});

describe("a build that is interrupted", () => {
  test("publishes once, however often it is asked", async () => {
    const graph = await graphOf(BASE);
    const { plan, published } = await build(database.pool, graph);
    expect(await publish(database.pool, graph, plan.buildId!)).toEqual(published);
    expect(
      await query(
        "select relname from pg_class where relnamespace::regnamespace::text like 'build%' and relkind in ('r', 'v')",
      ),
    ).toEqual([]);
  });

  test("is published by a retry after the server ended its connection at the last statement", async () => {
    const graph = await graphOf(BASE);
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    await withClient(async (blocker) => {
      await blocker.query("begin; lock table privacy.epoch in exclusive mode");
      const publishing = publish(database.pool, graph, plan.buildId!).catch((error: unknown) => error);
      const pid = await waitForBlocked("select epoch, moving_xid");
      await query("select pg_terminate_backend($1)", [pid]);
      expect(await publishing).toMatchObject({ code: "warehouse_unavailable", retryable: true });
      await blocker.query("rollback");
    });
    expect(await query("select to_regclass('mart.buyers') as relation")).toEqual([{ relation: null }]);
    await publish(database.pool, graph, plan.buildId!);
    expect(await totals()).toHaveLength(3);
  });

  test("fills tables in two sessions, and computes them again after the first one was ended between the two commits", async () => {
    const spec = (name: string): RelationSpec => ({
      name,
      grain: "One row per number.",
      materialize: "table",
      key: ["n"],
      follows: [],
      notNull: [],
      foreignKeys: [],
      columns: { n: "A number" },
    });
    const halves: ModelNode = {
      name: "halves",
      inputs: [],
      outputs: [spec("core.lower"), spec("core.upper")],
      version: "1",
      async compute({ client, output, openSecond, finish }) {
        const second = await openSecond!();
        await client.query(`create table ${output("core.lower")} as select generate_series(1, 5) as n`);
        await second.query(`create table ${output("core.upper")} as select generate_series(6, 9) as n`);
        await finish!(second, "core.upper");
        return { "core.lower": 5, "core.upper": 4 };
      },
    };
    const graph = await graphOf(BASE, ["orders"], { nodes: [halves] });
    const plan = await planBuild(database.pool, graph);
    await withClient(async (blocker) => {
      await blocker.query(`begin; select from ops.build_relations where build_id = '${plan.buildId}' for update`);
      const computing = computeModel(database.pool, graph, plan.buildId!, "halves").catch((error: unknown) => error);
      const pid = await waitForBlocked("update ops.build_relations set computed_at");
      await query("select pg_terminate_backend($1)", [pid]);
      expect(await computing).toMatchObject({ code: "warehouse_unavailable" });
      await blocker.query("rollback");
    });
    const left =
      "select to_regclass('build_core.lower') is null as lower, to_regclass('build_core.upper') is null as upper";
    expect(await query(left)).toEqual([{ lower: true, upper: false }]);
    await compute(database.pool, graph, plan);
    await publish(database.pool, graph, plan.buildId!);
    expect(
      await query("select sum(n)::int as sum from (select n from core.lower union all select n from core.upper) as n"),
    ).toEqual([{ sum: 45 }]);
  });

  test("computes nothing twice, and returns what the first attempt recorded", async () => {
    const graph = await graphOf(BASE);
    const plan = await planBuild(database.pool, graph);
    const [first, second] = await Promise.all([1, 2].map(() => computeContracts(database.pool, graph, plan.buildId!)));
    expect(first!.map(({ step, rows }) => [step, rows]).sort()).toEqual(
      second!.map(({ step, rows }) => [step, rows]).sort(),
    );
    const results = await Promise.all(
      [1, 2].map(() => computeModel(database.pool, graph, plan.buildId!, "mart.buyers")),
    );
    expect(results.map(({ rows }) => rows)).toEqual([{ "mart.buyers": 3 }, { "mart.buyers": 3 }]);
  });

  test("gives way to a later one, which drops what it left", async () => {
    const graph = await graphOf(BASE);
    const first = await planBuild(database.pool, graph);
    await computeContracts(database.pool, graph, first.buildId!);
    const second = await planBuild(database.pool, graph);
    expect(await query("select to_regclass('build_core.orders') as relation")).toEqual([{ relation: null }]);
    const superseded = { code: "build_superseded", retryable: false };
    await expect(computeModel(database.pool, graph, first.buildId!, "mart.buyers")).rejects.toMatchObject(superseded);
    await expect(publish(database.pool, graph, first.buildId!)).rejects.toMatchObject(superseded);
    await compute(database.pool, graph, second);
    await publish(database.pool, graph, second.buildId!);
  });

  test("is not published after an erasure has moved the epoch", async () => {
    const graph = await graphOf(BASE);
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    await query("update privacy.epoch set epoch = epoch + 1");
    await expect(publish(database.pool, graph, plan.buildId!)).rejects.toMatchObject({ code: "epoch_conflict" });
    expect(await query("select to_regclass('mart.buyers') as relation")).toEqual([{ relation: null }]);
    await build(database.pool, graph);
  });

  test("is not published when a build table lost rows", async () => {
    const graph = await graphOf(BASE);
    const plan = await planBuild(database.pool, graph);
    await compute(database.pool, graph, plan);
    await query("delete from build_mart.buyers where buyer = 'b1'");
    await expect(publish(database.pool, graph, plan.buildId!)).rejects.toThrow(
      "mart.buyers no longer holds the rows that were computed",
    );
  });

  test("is not published over what another writer changed meanwhile", async () => {
    const graph = await graphOf(BASE);
    await build(database.pool, graph);
    const plan = await planBuild(database.pool, graph, { select: ["buyers"], full: true });
    await compute(database.pool, graph, plan);
    await touch(database.pool, "core.orders");
    await expect(publish(database.pool, graph, plan.buildId!)).rejects.toMatchObject({ code: "epoch_conflict" });
  });

  test("misses nothing that lands while it runs", async () => {
    const graph = await graphOf(BASE);
    const plan = await planBuild(database.pool, graph);
    await query("insert into raw.shop__orders values (99, 'late', 1)");
    await touch(database.pool, "raw.shop__orders");
    await compute(database.pool, graph, plan);
    await query("insert into raw.shop__orders values (100, 'later', 1)");
    await touch(database.pool, "raw.shop__orders");
    await publish(database.pool, graph, plan.buildId!);
    await build(database.pool, graph);
    expect((await totals()).map((row) => row.buyer)).toEqual(["b0", "b1", "b2", "late", "later"]);
  });
});

/** Waits until a statement that starts so waits for a lock; returns its process id. */
async function waitForBlocked(start: string): Promise<number> {
  for (let i = 0; i < 200; i++) {
    const [row] = await query(
      "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like $1 || '%' and datname = current_database()",
      [start],
    );
    if (row) return row.pid;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nothing waits at: ${start}`);
}
