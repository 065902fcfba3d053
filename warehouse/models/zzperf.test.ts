import { test } from "vitest";
import { createTestDatabase } from "../../test/database.ts";
import { computeContracts, computeModel } from "./compute.ts";
import { planBuild } from "./plan.ts";
import { publish } from "./publish.ts";
import { build, packageGraph, sqlFile, touch } from "./test-warehouse.ts";
import pg from "pg"; // monkey
const q = pg.Client.prototype.query as any;
(pg.Client.prototype as any).query = function (...a: any[]) {
  const t = performance.now();
  const r = q.apply(this, a);
  if (r?.then && typeof a[0] === "string")
    return r.then((x: any) => {
      const d = performance.now() - t;
      if (d > 250) console.log("      Q", Math.round(d), a[0].replace(/\s+/g, " ").slice(0, 130));
      return x;
    });
  return r;
};
const C: Record<string, string> = {
  customers:
    "customer_ref text, email_token text, phone_token text, country text, birth_year integer, registered_at timestamptz",
  orders:
    "order_number text, customer_ref text, email_token text, ordered_at timestamptz, delivered_at timestamptz, amount numeric(12,2), currency text",
  order_lines:
    "order_record_key uuid, line_number integer, product_ref text, quantity numeric, amount numeric, currency text",
  events:
    "name text, occurred_at timestamptz, device_token text, customer_ref text, email_token text, page_url text, referrer text, utm_source text, utm_medium text, utm_campaign text, product_ref text, properties jsonb",
};
test("perf", async () => {
  const db = await createTestDatabase();
  const S = Object.keys(C);
  for (const s of S)
    await db.pool.query(
      `create table raw.shop__${s} (record_key uuid primary key default gen_random_uuid(), deleted_at timestamptz, ${C[s]})`,
    );
  await db.pool.query(`
   insert into raw.shop__customers (customer_ref,email_token,country,registered_at) select 'customer_id_'||md5(i::text), 'email_'||md5(i::text), 'FR', '2025-01-01'::timestamptz + i * interval '1 minute' from generate_series(1,50000) i;
   insert into raw.shop__orders (order_number, customer_ref, ordered_at, amount, currency) select i, 'customer_id_'||md5((i%50000)::text), '2025-02-01'::timestamptz + i * interval '1 minute', i%100, 'EUR' from generate_series(1,100000) i;
   insert into raw.shop__events (name, occurred_at, device_token, customer_ref, page_url, properties) select 'page_viewed', '2025-02-01'::timestamptz + i * interval '10 second', 'device_id_'||md5((i%100000)::text), case when i%100000 < 50000 then 'customer_id_'||md5((i%50000)::text) end, 'https://x.example/'||i%1000, '{"a":1,"b":"xyz"}' from generate_series(1,1000000) i;
   analyze;`);
  const graph = await packageGraph(
    S.map((s) =>
      sqlFile(`models/staging/shop__${s}.sql`, `-- One row.\n-- contract: ${s}\nselect * from raw.shop__${s}`),
    ),
    S,
  );
  const time = async (label: string, f: () => Promise<unknown>) => {
    const t = performance.now();
    const r = await f();
    console.log(
      label,
      Math.round(performance.now() - t),
      typeof r === "object" && r && "rows" in r ? JSON.stringify(r) : "",
    );
    return r;
  };
  const full = async () => {
    const plan = await planBuild(db.pool, graph);
    await time("contracts", async () =>
      console.log(
        JSON.stringify((await computeContracts(db.pool, graph, plan.buildId!)).filter((x) => x.milliseconds > 50)),
      ),
    );
    const done = new Set<string>();
    let left = plan.steps;
    await time("models", async () => {
      while (left.length) {
        const ready = left.filter((s) => s.after.every((a) => done.has(a)));
        await Promise.all(
          ready.map((s) => time("  " + s.step, () => computeModel(db.pool, graph, plan.buildId!, s.step))),
        );
        ready.forEach((s) => done.add(s.step));
        left = left.filter((s) => !ready.includes(s));
      }
    });
    await time("publish", () => publish(db.pool, graph, plan.buildId!));
  };
  await time("FULL", full);
  await time("NOTHING", () => build(db.pool, graph));
  await db.pool.query(
    "update raw.shop__events set page_url = 'x' where record_key in (select record_key from raw.shop__events limit 10000)",
  );
  await touch(db.pool, "raw.shop__events");
  await time("1%", full);
  await db.drop();
}, 300000);
