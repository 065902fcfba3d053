import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../demo/random.ts";
import type { BuildReport } from "../domain/runs.ts";
import { stackStatus, type ServiceStatus } from "../stack/stack.ts";
import { openPool } from "../warehouse/database.ts";
import { createCommandLine, succeeded, type CommandLine, type Ended } from "./command.ts";
import { dataOfRound, martAfter, PROJECT, rawAfter, RECORDS } from "./faults-project.ts";

const VICTIMS = ["worker", "Postgres", "Temporal"] as const;
const SEEDS = process.env["MIETTE_TEST_LONG"] ? Array.from({ length: 10 }, (_, index) => index + 1) : [1];
/** Milliseconds. A dead worker is noticed by its missing heartbeat, 20 s after the last one. */
const PATIENCE = 180_000;

describe.each(SEEDS)("with seed %i", (seed) => {
  const random = new Random(seed);
  let commands: CommandLine;
  let pool: pg.Pool;

  beforeAll(async () => {
    commands = await createCommandLine();
    await commands.write(PROJECT);
    succeeded(await commands.miette(["up", "--detach"]));
    pool = openPool(await commands.warehouseUrl(), { max: 2, name: "test" });
  }, PATIENCE);
  afterAll(async () => {
    await pool.end();
    await commands.remove();
  }, PATIENCE);

  const victims = random.fork("order").shuffled(VICTIMS);
  describe.each(victims.map((victim, index) => [victim, index + 1] as const))("a killed %s", (victim, round) => {
    const choose = random.fork(victim);

    test(`costs a sync of ${RECORDS} records nothing: none is lost or doubled`, { timeout: PATIENCE }, async () => {
      await commands.write(dataOfRound(round));
      const before = await count(pool, "select count(*) from ops.pages");
      const landed = async () => (await count(pool, "select count(*) from ops.pages")) - before;
      // Two pages of each large stream and one of the small make seven.
      const pages = choose.int(1, 5);
      const running = commands.miette(["sync", "shop", "--json"]);
      const landedBefore = await kill(victim, commands, running, choose.int(0, 100), async () => {
        const now = await landed();
        return now < pages ? null : now;
      });
      succeeded(await running);
      expect(await landed(), "pages landed after the kill").toBeGreaterThan(landedBefore);

      expect(await readRaw(pool)).toEqual(rawAfter(round));
      const again = jsonOf<object[]>(await commands.miette(["sync", "shop", "--json"]));
      expect(again).toHaveLength(4);
      for (const stream of again) expect(stream).toMatchObject({ read: 0, inserted: 0, updated: 0, deleted: 0 });
    });

    test("costs a build nothing: the mart is what an undisturbed one gives", { timeout: PATIENCE }, async () => {
      const share = choose.between(0, 1);
      const running = commands.miette(["build", "--json"]);
      await kill(victim, commands, running, choose.int(0, 100), async () => {
        const { all, done } = await readActiveBuild(pool);
        return all > 0 && done >= Math.max(1, share * all) ? done : null;
      });
      const report = jsonOf<BuildReport>(await running);
      expect(report.models.length).toBeGreaterThan(10);

      expect(await readMart(pool)).toEqual(martAfter(round));
      const full = jsonOf<BuildReport>(await commands.miette(["build", "--full", "--json"]));
      expect(full.models.length).toBeGreaterThanOrEqual(report.models.length);
      expect(full).toMatchObject({ inserted: 0, updated: 0, deleted: 0 });
      expect(jsonOf<BuildReport>(await commands.miette(["build", "--json"])).models).toEqual([]);
    });
  });
});

/**
 * Kills the victim `delay` ms after the moment has come, and waits until it runs again.
 * @param moment null before it has come, and after it has passed
 * @returns what `moment` gave right before the kill
 */
async function kill<T>(
  victim: (typeof VICTIMS)[number],
  { home }: CommandLine,
  running: Promise<Ended>,
  delay: number,
  moment: () => Promise<T | null>,
): Promise<T> {
  let ended: Ended | undefined;
  void running.then((how) => (ended = how));
  while ((await moment()) === null) {
    if (ended) throw new Error(`the command ended before the moment: ${JSON.stringify(ended)}`);
    await sleep(5);
  }
  const before = await serviceOf(home, victim);
  await sleep(delay);
  const come = await moment();
  process.kill(before.pid, "SIGKILL");
  if (come === null) throw new Error(`the moment had passed within ${delay} ms`);
  await expect
    .poll(async () => (await serviceOf(home, victim)).restarts, { timeout: 60_000 })
    .toBe(before.restarts + 1);
  return come;
}

async function serviceOf(home: string, name: string): Promise<ServiceStatus> {
  const status = await stackStatus(home);
  return status!.services.find((service) => service.name.startsWith(name))!;
}

function jsonOf<T>(ended: Ended): T {
  return JSON.parse(succeeded(ended).stdout) as T;
}

async function count(pool: pg.Pool, sql: string): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(sql);
  return Number(rows[0]?.count);
}

/** How many relations the build under way has, and how many of them are computed. */
async function readActiveBuild(pool: pg.Pool): Promise<{ all: number; done: number }> {
  const { rows } = await pool.query<{ all: number; done: number }>(
    `select count(*)::integer as all, count(computed_at)::integer as done
     from ops.build_relations join ops.builds using (build_id) where status = 'active'`,
  );
  return rows[0]!;
}

async function readRaw(pool: pg.Pool): Promise<ReturnType<typeof rawAfter>> {
  const revised = async (table: string, more = "") => {
    const { rows } = await pool.query(
      `select count(*)::integer as rows, sum(revision)::integer as revisions, ${more}
         (select count(*)::integer from raw.${table}__history) as superseded
       from raw.${table} where deleted_at is null`,
    );
    return rows[0];
  };
  const { rows: visits } = await pool.query(
    "select count(*)::integer as rows, count(distinct visit)::integer as distinct, sum(visit)::integer as sum from raw.shop__visits",
  );
  return {
    customers: await revised("shop__customers"),
    orders: await revised("shop__orders", "sum(amount)::text as amount,"),
    orderLines: await revised("shop__order_lines", "sum(amount)::text as amount,"),
    visits: visits[0],
    quarantined: await count(pool, "select count(*) from ops.quarantine"),
  };
}

async function readMart(pool: pg.Pool): Promise<ReturnType<typeof martAfter>> {
  const one = async (sql: string) => (await pool.query(sql)).rows[0];
  return {
    orders: await one(
      "select count(*)::integer as rows, sum(amount)::text as amount, count(distinct customer_id)::integer as customers from mart.fct_orders",
    ),
    orderLines: await one("select count(*)::integer as rows, sum(amount)::text as amount from mart.fct_order_lines"),
    events: await one(
      "select count(*)::integer as rows, sum((properties ->> 'visit')::integer)::integer as sum from mart.fct_events",
    ),
    customers: await one(
      `select count(*) filter (where not is_anonymous)::integer as known, count(*) filter (where is_anonymous)::integer as anonymous,
         count(*) filter (where country = 'BE')::integer as belgian
       from mart.dim_customers`,
    ),
  };
}
