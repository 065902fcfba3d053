import { mkdtemp, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { prepareDemo, type DemoEnvironment } from "./prepare.ts";

const shopDatabaseUrl = inject("postgresUrl");
let directory: string;
let environment: DemoEnvironment;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-demo-"));
  ({ environment } = await prepareDemo({ directory, shopDatabaseUrl }));
});

afterAll(async () => {
  await asOwner("drop database if exists shop with (force)");
  await asOwner("drop role if exists miette_reader");
  await rm(directory, { recursive: true, force: true });
});

async function select(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

const asOwner = (sql: string) => select(`${shopDatabaseUrl}/postgres`, sql);
const asReader = (sql: string) => select(environment.SHOP_DATABASE_URL, sql);

/** Names the database file and every row version, so that a rewrite of anything shows. */
const traces = async () => [
  await asReader("select oid::text from pg_database where datname = 'shop'"),
  await asReader("select max(xmin::text::bigint) as last, count(*) from orders"),
  (await stat(join(directory, "web", "events-2026-01.jsonl.gz")).catch(() => null))?.mtimeMs,
  (await stat(join(directory, "truth.json"))).mtimeMs,
];

describe("the prepared demo", () => {
  it("has the shop's database with the counts of the truth, lines that add up, and only a reader", async () => {
    const { counts } = JSON.parse(await readFile(join(environment.MIETTE_DEMO_DATA, "truth.json"), "utf8"));
    const [row] = await asReader(`
      select (select count(*)::integer from customers) as customers, (select count(*)::integer from products) as products,
             (select count(*)::integer from orders) as orders, (select count(*)::integer from order_lines) as order_lines,
             (select sum(amount)::text from orders) as revenue`);
    expect(row).toEqual({
      customers: counts.customers,
      products: counts.products,
      orders: 6_919,
      order_lines: counts.order_lines,
      revenue: "2440919.40",
    });
    expect(
      await asReader(
        "select order_id from orders join order_lines on order_id = id group by order_id, orders.amount having orders.amount <> sum(order_lines.amount)",
      ),
    ).toEqual([]);
    await expect(asReader("delete from orders")).rejects.toMatchObject({ code: "25006" });
    await expect(asReader("begin read write; delete from orders")).rejects.toMatchObject({
      code: "42501",
    });
  });

  it("keeps the reader's password in a file of its owner alone", async () => {
    const { mode } = await stat(join(directory, "shop-password"));
    expect(mode & 0o777).toBe(0o600);
  });

  it("stays as it is when it is prepared again", async () => {
    const before = await traces();
    const again = await prepareDemo({ directory, shopDatabaseUrl });
    expect(again.environment).toEqual(environment);
    expect(await traces()).toEqual(before);
  });

  it("loads the same shop again after its database was lost", async () => {
    const sum = "select md5(string_agg(orders::text, '|' order by id)) as sum from orders";
    const before = await asReader(sum);
    await asOwner("drop database shop with (force)");
    await prepareDemo({ directory, shopDatabaseUrl });
    expect(await asReader(sum)).toEqual(before);
  });

  it("makes half-written files again", async () => {
    await unlink(join(directory, "generation.json"));
    await writeFile(join(directory, "ads", "spend.csv"), "half");
    await prepareDemo({ directory, shopDatabaseUrl });
    expect((await readFile(join(directory, "ads", "spend.csv"), "utf8")).split("\n").length).toBeGreaterThan(1_000);
  });

  it("refuses a database of the same name that is somebody else's", async () => {
    await asOwner("comment on database shop is 'my own shop'");
    await expect(prepareDemo({ directory, shopDatabaseUrl })).rejects.toThrow(
      'has a database "shop" that the demo did not make',
    );
  });
});
