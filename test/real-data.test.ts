import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import type pg from "pg";
import { describe, expect, test } from "vitest";
import { HAS_SHARED_DATA, openPipeline, SHARED_DATA, type Pipeline } from "./pipeline.ts";
import { restoreDatabase } from "./restore.ts";

const PROJECTS = join(dirname(fileURLToPath(import.meta.url)), "projects");

/** Every row that any table of these schemas holds, by how often it was written: equal twice means nothing was written. */
async function writes(pool: pg.Pool): Promise<unknown> {
  const { rows } = await pool.query<{ name: string }>(
    `select n.nspname || '.' || quote_ident(c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('raw', 'core', 'mart', 'vault') and c.relkind = 'r' order by 1`,
  );
  const result: Record<string, unknown> = {};
  for (const { name } of rows) {
    // xmin changes with every write of a row, so the sum stands for all of them; exact sums do not depend on the order of a
    // parallel scan.
    const { rows: sums } = await pool.query(
      `select count(*), sum(xmin::text::bigint) as written, sum((ctid::text::point <-> point(0, 0))::numeric) as places from ${name}`,
    );
    result[name] = sums[0];
  }
  return result;
}

async function withPipeline(
  project: string,
  env: Record<string, string>,
  work: (pipeline: Pipeline) => Promise<void>,
): Promise<void> {
  const pipeline = await openPipeline(join(PROJECTS, project), env);
  try {
    await work(pipeline);
    const before = await writes(pipeline.pool);
    await pipeline.run();
    expect(await writes(pipeline.pool)).toEqual(before);
  } finally {
    await pipeline.close();
  }
}

async function one(pool: pg.Pool, sql: string): Promise<unknown> {
  const { rows } = await pool.query(sql);
  return rows[0];
}

const restored = (file: string) => restoreDatabase(join(SHARED_DATA, file));

async function expected(file: string): Promise<Record<string, string>[]> {
  return parse(await readFile(join(SHARED_DATA, file)), { columns: true }) as Record<string, string>[];
}

/** In the suite one set from files and one from a Postgres; the others in the long tests. */
const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);

if (!HAS_SHARED_DATA) console.warn(`real data is absent at ${SHARED_DATA}: its tests are skipped`);

describe.skipIf(!HAS_SHARED_DATA)("real data through the whole pipeline, and a second run that writes nothing", () => {
  test("CDNOW: every purchase, honest duplicates included, to the cent", async () => {
    await withPipeline("cdnow", {}, async ({ run, pool }) => {
      const report = await run();
      expect(report.syncs[0]?.streams[0]).toMatchObject({ rowsRead: 6919, inserted: 6919, rejected: 0 });
      expect(
        await one(
          pool,
          "select count(*)::int as orders, sum(amount)::text as revenue, count(distinct customer_id)::int as customers from mart.fct_orders",
        ),
      ).toEqual({
        orders: 6919,
        revenue: "244091.94",
        customers: 2357,
      });
      expect(await one(pool, "select count(*)::int as customers from mart.dim_customers")).toEqual({ customers: 2357 });
      expect(await one(pool, "select sum(quantity)::int as cds from mart.fct_order_lines")).toEqual({ cds: 16479 });
    });
  });

  test("jafgen: orders and cents of each customer as its own summary says", { skip: !IS_LONG }, async () => {
    await withPipeline("jafgen", {}, async ({ run, pool, vault }) => {
      await run();
      expect(
        await one(
          pool,
          "select count(*)::int as orders, (sum(amount) * 100)::bigint::text as cents from mart.fct_orders",
        ),
      ).toEqual({ orders: 15349, cents: "16640403" });
      expect(
        await one(
          pool,
          "select count(*)::int as without from mart.fct_orders as o where not exists (select from mart.fct_order_lines as l where l.order_id = o.order_id)",
        ),
      ).toEqual({ without: 92 });
      const { rows } = await pool.query(
        `select i.token, count(distinct o.order_id)::int as orders, (sum(o.amount) * 100)::bigint::text as cents,
           (select count(*)::int from mart.fct_events as e where e.customer_id = i.customer_id) as tweets
         from core.identifiers as i join mart.fct_orders as o on o.customer_id = i.customer_id group by i.token, i.customer_id`,
      );
      const byToken = new Map((rows as { token: string }[]).map(({ token, ...rest }) => [token, rest]));
      for (const { customer, orders, total_cents, tweets } of await expected("jafgen/expected_customer_summary.csv")) {
        expect(byToken.get(vault.naming.token("customer_id", customer as string))).toEqual({
          orders: Number(orders),
          cents: total_cents,
          tweets: Number(tweets),
        });
      }
      expect(byToken.size).toBe(200);
    });
  });

  test("Northwind, read from a Postgres: revenue of each company net of discount", async () => {
    const source = await restored("northwind/northwind.sql");
    try {
      await withPipeline("northwind", { NORTHWIND_URL: source.url }, async ({ run, pool, vault }) => {
        await run();
        const byToken = await revenueByToken(pool);
        for (const { customer_id, orders, revenue } of await expected("northwind/expected_customer_revenue.csv")) {
          expect(byToken.get(vault.naming.token("customer_id", customer_id as string))).toEqual(
            orders === "0" ? undefined : { orders: Number(orders), revenue },
          );
        }
        expect(await one(pool, "select round(sum(amount), 2)::text as revenue from mart.fct_orders")).toEqual({
          revenue: "1265793.04",
        });
      });
    } finally {
      await source.drop();
    }
  });

  test(
    "Chinook, read from a Postgres: revenue of each customer, found by customer number and by e-mail",
    { skip: !IS_LONG },
    async () => {
      const source = await restored("chinook/Chinook_PostgreSql.sql");
      try {
        await withPipeline("chinook", { CHINOOK_URL: source.url }, async ({ run, pool, vault }) => {
          await run();
          const byToken = await revenueByToken(pool);
          for (const { customer_id, email, orders, revenue } of await expected(
            "chinook/expected_customer_revenue.csv",
          )) {
            expect(byToken.get(vault.naming.token("customer_id", customer_id as string))).toEqual({
              orders: Number(orders),
              revenue,
            });
            expect(byToken.get(vault.naming.token("email", email as string))).toEqual({
              orders: Number(orders),
              revenue,
            });
          }
          expect(await one(pool, "select sum(amount)::text as revenue from mart.fct_orders")).toEqual({
            revenue: "2328.60",
          });
        });
      } finally {
        await source.drop();
      }
    },
  );

  test("a clickstream: every event and every purchase", { skip: !IS_LONG }, async () => {
    await withPipeline("clickstream", {}, async ({ run, pool }) => {
      await run();
      expect(
        await one(
          pool,
          "select count(*)::int as events, count(*) filter (where name = 'purchase')::int as purchases, count(distinct customer_id)::int as users from mart.fct_events",
        ),
      ).toEqual({ events: 31106, purchases: 470, users: 600 });
    });
  });
});

async function revenueByToken(pool: pg.Pool): Promise<Map<string, unknown>> {
  const { rows } = await pool.query(
    `select i.token, count(*)::int as orders, round(sum(o.amount), 2)::text as revenue
     from core.identifiers as i join mart.fct_orders as o on o.customer_id = i.customer_id group by i.token`,
  );
  return new Map((rows as { token: string }[]).map(({ token, ...rest }) => [token, rest]));
}
