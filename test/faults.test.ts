import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../demo/random.ts";
import type { BuildReport, RunReport } from "../domain/runs.ts";
import { openPool } from "../warehouse/database.ts";
import { createCommandLine, jsonOf, succeeded, type CommandLine } from "./command.ts";
import { dataOfRound, martAfter, PROJECT, rawAfter, RECORDS } from "./faults-project.ts";
import { momentOf, serviceOf, strike, type Fault } from "./strike.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const SEEDS = IS_LONG ? Array.from({ length: 10 }, (_, index) => index + 1) : [1];
/** Milliseconds. A dead worker is noticed by its missing heartbeat, 20 s after the last one. */
const PATIENCE = IS_LONG ? 600_000 : 240_000;
const HEARTBEAT_TIMEOUT = 20_000;

/** A worker that stands still with one of these keeps its rows locked. */
const OPEN_PAGES = `select count(*) from pg_stat_activity
  where application_name = 'miette loader' and xact_start is not null and wait_event = 'ClientRead'`;

/** A run that is struck twice, while it lands and while it builds. */
interface Round {
  what: string;
  landing: Fault;
  building: Fault;
}
const round = (landing: Fault, building: Fault): Round => ({
  what: `a run whose ${landing.victim} gets a ${landing.signal} as it lands, and whose ${building.victim} a ${building.signal} as it builds,`,
  landing,
  building,
});
const [worker, postgres, temporal] = (["worker", "Postgres", "Temporal"] as const).map((victim): Fault => ({
  victim,
  signal: "SIGKILL",
})) as [Fault, Fault, Fault];
const [restart, crash] = (["SIGINT", "SIGQUIT"] as const).map((signal): Fault => ({ victim: "Postgres", signal })) as [
  Fault,
  Fault,
];
/** Every victim once in the short ones, where the worker that is paused stands for one killed as it lands. */
const ROUNDS: Round[] = IS_LONG
  ? [
      round(worker, worker),
      round(postgres, postgres),
      round(temporal, temporal),
      round(restart, crash),
      round(crash, restart),
    ]
  : [round(postgres, worker), round(temporal, postgres)];

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

  const landedSince = async (before: number) => (await count(pool, "select count(*) from ops.pages")) - before;
  test(
    "a worker that is paused past its heartbeat and resumed loses and doubles nothing: another has taken over",
    { timeout: PATIENCE },
    async () => {
      const number = 1;
      const choose = random.fork("paused");
      await commands.write(dataOfRound(number));
      const before = await count(pool, "select count(*) from ops.pages");
      const pages = choose.int(1, 4);
      const running = commands.miette(["sync", "shop"]);
      const worker = await serviceOf(commands.home, "worker");
      let other: ChildProcess | undefined;
      try {
        await momentOf(running, async () => ((await landedSince(before)) < pages ? null : true));
        await momentOf(running, async () => {
          process.kill(worker.pid, "SIGSTOP");
          await sleep(100);
          if ((await count(pool, OPEN_PAGES)) > 0) return true;
          process.kill(worker.pid, "SIGCONT");
          return null;
        });
        other = await commands.startWorker();
        if (seed % 2 === 1) {
          // Nobody waits for the page that the paused worker holds. Temporal goes on giving it tasks for a minute.
          const ended = await Promise.race([running, sleep(8 * HEARTBEAT_TIMEOUT)]);
          expect(ended, "another lands all of it").toBeDefined();
        } else {
          const paused = await landedSince(before);
          const goesOn = async () => (await landedSince(before)) > paused;
          await expect.poll(goesOn, { timeout: 3 * HEARTBEAT_TIMEOUT, message: "another goes on" }).toBe(true);
          await sleep(choose.int(0, 2_000));
        }
        process.kill(worker.pid, "SIGCONT");
        succeeded(await running);
        const isOver = async () => await count(pool, OPEN_PAGES);
        await expect.poll(isOver, { timeout: HEARTBEAT_TIMEOUT, message: "the paused worker lands no more" }).toBe(0);
        expect(await readRaw(pool)).toEqual(rawAfter(number));
        const restarts = (await serviceOf(commands.home, "worker")).restarts;
        expect(restarts, "the paused worker went on").toBe(worker.restarts);
      } finally {
        process.kill(worker.pid, "SIGCONT");
        other?.kill("SIGTERM");
      }
    },
  );

  const rounds = random.fork("order").shuffled(ROUNDS);
  test.each(rounds.map((each, index) => [each.what, each, index + 2] as const))(
    `%s of ${RECORDS} records loses and doubles none, and its mart is what it gives undisturbed`,
    { timeout: PATIENCE },
    async (what, { landing, building }, number) => {
      const choose = random.fork(what);
      await commands.write(dataOfRound(number));
      const before = await count(pool, "select count(*) from ops.pages");
      // Two pages of each large stream and one of the small make seven.
      const pages = choose.int(1, 5);
      const running = commands.miette(["run", "--json"]);
      const landedBefore = await strike(landing, commands, running, choose.int(0, 100), async () => {
        const now = await landedSince(before);
        return now < pages ? null : now;
      });
      const share = choose.between(0, 1);
      await strike(building, commands, running, choose.int(0, 100), async () => {
        const { all, done } = await readActiveBuild(pool);
        return all > 0 && done >= Math.max(1, share * all) ? done : null;
      });
      expect(await landedSince(before), "pages landed after the fault").toBeGreaterThan(landedBefore);
      expect(jsonOf<RunReport>(await running).build?.models.length).toBeGreaterThan(10);
      expect(await readRaw(pool)).toEqual(rawAfter(number));
      expect(await readMart(pool)).toEqual(martAfter(number));

      const again = jsonOf<RunReport>(await commands.miette(["run", "--json"]));
      const streams = again.syncs.flatMap((sync) => sync.streams);
      expect(streams).toHaveLength(4);
      for (const stream of streams) expect(stream).toMatchObject({ rowsRead: 0, inserted: 0, updated: 0, deleted: 0 });
      expect(again.build?.models).toEqual([]);
    },
  );

  test("after all of these a full build has nothing to write", { timeout: PATIENCE }, async () => {
    const full = jsonOf<BuildReport>(await commands.miette(["build", "--full", "--json"]));
    expect(full.models.length).toBeGreaterThan(10);
    expect(full).toMatchObject({ inserted: 0, updated: 0, deleted: 0 });
  });
});

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
    "select count(*)::integer as rows, count(distinct visit)::integer as distinct, sum(visit)::float8 as sum from raw.shop__visits",
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
      "select count(*)::integer as rows, sum((properties ->> 'visit')::integer)::float8 as sum from mart.fct_events",
    ),
    customers: await one(
      `select count(*) filter (where not is_anonymous)::integer as known, count(*) filter (where is_anonymous)::integer as anonymous,
         count(*) filter (where country = 'BE')::integer as belgian
       from mart.dim_customers`,
    ),
  };
}
