import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applySchedules } from "../cli/schedules.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import { deliveryDays } from "../demo/orders.ts";
import type { Store } from "../demo/generate.ts";
import { buildReport } from "../report/build-report.ts";
import { EXPORT_FORMATS, exportRelation } from "../warehouse/export-relation.ts";
import { openPool } from "../warehouse/database.ts";
import { describeChannels } from "./demo-channels.ts";
import { dumpTables, dumpTemporal, findValues, inflate } from "./plaintext.ts";
import { CANARY, openWatchedDemo } from "./watched-demo.ts";

let demo: Awaited<ReturnType<typeof openWatchedDemo>>;
let hasEnded = false;
/** Plain values that some file of the home held while the pipeline ran. */
const seenMeanwhile = new Set<string>();
const rows = async (sql: string) => (await demo.pipeline.pool.query(sql)).rows;

beforeAll(async () => {
  demo = await openWatchedDemo();
  const ended = demo.pipeline.run().finally(() => (hasEnded = true));
  // Temporary tables and files are there only while something runs.
  const needles = plainValues(demo.store);
  while (!hasEnded) {
    for (const value of (await findValues([demo.home], needles)).keys()) seenMeanwhile.add(value);
    await sleep(5_000);
  }
  await ended;
});
afterAll(() => demo.close());

describeChannels(() => demo);

describe("the demo store's customers", () => {
  test("have metrics that add up to all its orders, and cohorts that hold each customer once", async () => {
    const { orders, revenue, customers } = demo.store.truth.counts;
    expect(
      await rows("select sum(frequency)::int as orders, sum(monetary)::text as revenue from mart.customer_metrics"),
    ).toEqual([{ orders, revenue }]);
    expect(
      await rows("select sum(customers)::int as n, sum(orders) from mart.customer_cohorts where month_number = 0"),
    ).toMatchObject([{ n: customers }]);
  });

  test("were unhappy in the month that was planted, and its cause is the first driver", async () => {
    const truth = demo.store.truth.bad_month;
    const months = await rows(
      "select to_char(month, 'YYYY-MM') as month, mean_rating::float8 as mean from mart.satisfaction where dimension = 'all' and reviews >= 20 order by mean_rating",
    );
    expect(months[0]).toMatchObject({ month: truth.month });
    expect(months[0].mean).toBeCloseTo(truth.mean_rating, 2);

    const top = await rows(
      "select driver, value, difference::float8 from mart.satisfaction_drivers where rank <= 3 order by rank",
    );
    const lateDays = demo.store.orders.flatMap((order) => (order.isLate ? [deliveryDays(order) ?? 0] : []));
    expect(Math.min(...lateDays)).toBeGreaterThanOrEqual(8);
    expect(top[0]).toMatchObject({ driver: "delivery_days", value: "8+" });
    expect(top[0].difference).toBeLessThan(-1);
  });

  test("wrote reviews whose mood goes with their stars, in English and in no other language's place", async () => {
    const [found] = await rows(
      "select corr(rating, sentiment) as r, count(sentiment)::int as moods, count(*)::int as reviews from mart.fct_reviews",
    );
    expect(found.r).toBeGreaterThan(0.4);
    expect(found.moods).toBeGreaterThan(0.2 * found.reviews);
    expect(await rows("select from mart.fct_reviews where sentiment not between -1 and 1")).toHaveLength(0);
    const [foreign] = await rows(
      "select avg((text_sentiment is null)::int)::float8 as silent from raw.reviews__reviews where language <> 'en' and text_length > 60",
    );
    expect(foreign.silent).toBeGreaterThan(0.9);
  });

  test("fill the example segments, and the goals have a value", async () => {
    const segments = await rows("select segment, customers::int as n from mart.dim_segments order by 1");
    expect(segments.map(({ segment }) => segment)).toEqual([
      "at_risk",
      "champions",
      "saw_a_video_and_did_not_buy",
      "unhappy",
    ]);
    for (const { n } of segments) expect(n).toBeGreaterThan(10);
    const goals = await rows("select goal, value, status from mart.goals");
    expect(goals).toHaveLength(4);
    for (const goal of goals) expect(goal.value).not.toBeNull();
  });
});

describe("the demo store's people", () => {
  /** Everything that came of the run, as files: tables as text, what Temporal has, exports and the report. */
  async function writeDown(): Promise<void> {
    const { pipeline, home } = demo;
    const folder = join(home, "written");
    await mkdir(join(folder, "exports"), { recursive: true });
    await dumpTables(pipeline.pool, join(folder, "tables"));
    await dumpTemporal(pipeline.client, pipeline.dataConverter, join(folder, "temporal"));
    const relations = await rows(
      "select relname as name from pg_class where relnamespace = 'mart'::regnamespace and relkind in ('r', 'v')",
    );
    for (const { name } of relations) {
      for (const format of EXPORT_FORMATS) {
        const file = join(folder, "exports", `${name}.${format}`);
        const out = createWriteStream(file);
        await exportRelation(pipeline.pool, name, format, out);
        await new Promise((resolve) => void out.end(resolve));
        if (format === "xlsx") await inflate(file, join(folder, "workbooks", name));
      }
    }
    const pools = { analystPool: pipeline.pool, ownerPool: pipeline.pool, language: "en" } as const;
    await writeFile(join(folder, "exports/report.html"), await buildReport(await pipeline.project(), pools));
  }

  test("stand in no file, table, history, log or export in the clear after everything has run", async () => {
    const { pipeline, store } = demo;
    await applySchedules(pipeline.client, await pipeline.project());
    // A source that breaks off with its records in the message, seen while it waits for its next attempt.
    await demo.tear();
    const torn = await pipeline.client.workflow.start("syncSource", {
      workflowId: "sync:torn",
      taskQueue: TASK_QUEUE,
      args: [{ source: "torn" }],
    });
    const failure = async () => JSON.stringify((await torn.describe()).raw.pendingActivities?.[0]?.lastFailure ?? null);
    await expect.poll(failure, { timeout: 30_000 }).toContain("encodedAttributes");
    // The worker logs at every level, and the server every statement with its parameters.
    const logged = await findValues([join(demo.home, "logs")], ["unexpected error", "insert into vault.identifiers"]);
    expect(logged.size).toBe(2);
    expect(seenMeanwhile).toEqual(new Set());
    const needles = plainValues(store);
    expect(needles.length).toBeGreaterThan(8_000);
    await writeDown();
    // Workbooks are searched inflated: what they may hold is found in them.
    const [{ order_number: shown }] = await rows("select order_number from mart.fct_orders limit 1");
    expect((await findValues([join(demo.home, "written/workbooks/fct_orders")], [shown])).size).toBe(1);
    await torn.terminate();
    // Of the home all files: the cluster's tables as far as they are written, its write-ahead log, Temporal's database, logs.
    const [{ data_directory: data }] = await rows("show data_directory");
    expect(data).toBe(join(demo.home, "postgres"));
    expect(await findValues([demo.home], needles)).toEqual(new Map());
    await pipeline.pool.query("checkpoint");
    expect(await findValues([join(demo.home, "postgres"), join(demo.home, "temporal")], needles)).toEqual(new Map());
  });

  test("are found by the same search where their fields are not sealed, and in the shop, where they are plain", async () => {
    const { store, home, environment } = demo;
    const names = [...new Set(store.people.map(({ given, family }) => `${given} ${family}`))];
    const open = await demo.openUnsealed();
    try {
      await open.sync({ source: "shop" });
      await dumpTables(open.pool, join(home, "unsealed"));
      expect([...(await findValues([join(home, "unsealed")], names)).keys()].toSorted()).toEqual(names.toSorted());
      const [{ data_directory: data }] = (await open.pool.query("show data_directory")).rows;
      await open.pool.query("checkpoint");
      const files = [...(await findValues([data], names.slice(0, 100))).values()].flatMap((each) => [...each]);
      expect(files.some((file) => file.includes("/pg_wal/"))).toBe(true);
      expect(files.some((file) => file.includes("/base/"))).toBe(true);
    } finally {
      await open.close();
    }
    const shop = openPool(environment["SHOP_DATABASE_URL"] as string, { name: "test" });
    await dumpTables(shop, join(home, "shop"));
    await shop.end();
    const typed = store.people.flatMap(({ typedEmail, typedPhone }) => [typedEmail?.trim(), typedPhone?.trim()]);
    const contacts = [...new Set(typed.flatMap((value) => value || []))];
    const found = await findValues([join(home, "shop")], contacts);
    expect(contacts.filter((value) => !found.has(value))).toEqual([]);
  });
});

/** Every way in which the store's sources write somebody's address, number or whole name. */
function plainValues({ people, orders, reviews, events, consents }: Store): string[] {
  const phones = people.flatMap(({ phones: own, household, typedPhone }) => [...own, household?.phone, typedPhone]);
  const emails = [
    ...people.flatMap(({ emails: own, typedEmail }) => [...own, typedEmail]),
    ...orders.map(({ typedEmail }) => typedEmail),
    ...[...reviews, ...events, ...consents].map(({ email }) => email),
  ];
  const names = people.map(({ given, family }) => `${given} ${family}`);
  const values = [
    ...phones,
    ...emails,
    ...emails.map((each) => each?.toLowerCase()),
    ...names,
    ...Object.values(CANARY),
  ];
  return [...new Set(values.flatMap((value) => value?.trim() || []))];
}
