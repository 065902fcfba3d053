import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { expect, test } from "vitest";
import { Random } from "../../demo/random.ts";
import { openTestVault, syncPages } from "../../test/landing.ts";
import { planBuild } from "../models/plan.ts";
import { publish } from "../models/publish.ts";
import { compute, graphOf, sqlFile } from "../models/test-warehouse.ts";
import { finishBatch } from "./batch.ts";
import { awaitFence } from "./fence.ts";
import { tombstone } from "./tombstone.ts";
import {
  approve,
  canary,
  database,
  erase,
  land,
  left,
  number,
  prepareErasures,
  stream,
  sweepNow,
  table,
  tokenOf,
  vault,
} from "./test-erasure.ts";

prepareErasures();

/** In the long tests twenty rounds, each with delays of its own; the seed is in the test's name. */
const ROUNDS = process.env["MIETTE_TEST_LONG"] ? 20 : 1;
const SEED = Math.floor(Date.now() / 86_400_000);

test.each(Array.from({ length: ROUNDS }, (_, round) => SEED + round))(
  "an erasure in the middle of a sync leaves nothing, whichever comes first (seed %i)",
  async (seed) => {
    const pages = Array.from({ length: 6 }, (_, page) => ({
      records: Array.from({ length: 300 }, (_, i) => ({
        id: 1000 + page * 300 + i,
        email: i % 10 ? `x${i}@crowd.test` : canary,
      })),
    }));
    const [report] = await Promise.all([
      syncPages(database.pool, vault, stream, pages),
      sleep(new Random(seed).int(0, 250)).then(() => erase(canary)),
    ]);
    expect(report.rowsRead).toBe(1800);
    expect(await left()).toBe(0);
    const { rows } = await database.pool.query(`select count(*)::int as rows from ${table} where email is not null`);
    expect(rows[0].rows).toBeGreaterThan(1600);
  },
);

test("a loader that has decided and idles before its end, as another process erases, decides anew", async () => {
  const idle = await openTestVault(database.pool);
  const landAs = (pool: pg.Pool, id: number) =>
    syncPages(pool, idle, stream, [{ records: [{ id, email: canary, note: `see ${canary}` }] }]);
  // It knows the list as it is now, and has the address's key at hand.
  await landAs(database.pool, 60);
  let [decided, goOn] = [(): void => undefined, (): void => undefined];
  const isDecided = new Promise<void>((resolve) => (decided = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  const pausing = {
    query: database.pool.query.bind(database.pool),
    async connect() {
      const client = await database.pool.connect();
      return new Proxy(client, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== "function") return value;
          return (...parameters: unknown[]) => {
            const run = (): unknown => (value as (...all: unknown[]) => unknown).apply(target, parameters);
            if (name !== "query" || !/privacy\.epoch for share/.test(String(parameters[0]))) return run();
            decided();
            return mayGoOn.then(run);
          };
        },
      });
    },
  } as unknown as pg.Pool;
  const loading = landAs(pausing, 61);
  await isDecided;
  const batchId = await approve(canary);
  await tombstone(database.pool, vault, batchId);
  goOn();
  await loading;
  await awaitFence(database.pool, batchId);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
  await landAs(database.pool, 62);
  expect(await left()).toBe(0);
});

test.each(["read committed", "repeatable read", "serializable"])(
  "a writer that forgot to look, %s, in flight at the tombstone, is waited for and swept",
  async (isolation) => {
    const writer = await database.pool.connect();
    await writer.query(`begin isolation level ${isolation}`);
    await writer.query(`insert into ${table} (id, email, record_key, content_hash, reload)
      select 5000, email, gen_random_uuid(), content_hash, 1 from ${table} where id = 1`);
    const batchId = await approve(canary);
    await tombstone(database.pool, vault, batchId);
    let isThrough = false;
    const fence = awaitFence(database.pool, batchId).then(() => (isThrough = true));
    await sleep(300);
    expect(isThrough).toBe(false);
    await writer.query("commit");
    writer.release();
    await fence;
    await sweepNow(batchId);
    await finishBatch(database.pool, batchId);
    expect(await left()).toBe(0);
  },
);

test("a transaction that only has an old snapshot is waited for, and our own is ended when it stays", async () => {
  const reader = await database.pool.connect();
  await reader.query("begin isolation level repeatable read");
  await reader.query(`select count(*) from ${table}`);
  const batchId = await approve(canary);
  await tombstone(database.pool, vault, batchId);
  await awaitFence(database.pool, batchId, 200);
  await expect(reader.query("select 1")).rejects.toThrow(/connection|terminat/i);
  reader.release(true);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
});

test("prepared transactions, which no session shows, can't be made", async () => {
  const client = await database.pool.connect();
  await client.query("begin");
  await expect(client.query("prepare transaction 'canary'")).rejects.toThrow(/prepared transactions are disabled/);
  await client.query("rollback");
  client.release();
});

test("what a build has computed before a tombstone is not published after it", async () => {
  const name = `shop__${stream.name}`;
  const graph = await graphOf(
    [
      sqlFile(
        `models/staging/${name}.sql`,
        `-- One row per record.\nselect r.record_key, r.email from raw.${name} as r`,
      ),
      sqlFile(
        "models/core/copy.sql",
        `-- One row per record.\n-- key: record_key\nselect s.record_key, s.email from staging.${name} as s`,
      ),
    ],
    [stream.name],
  );
  const plan = await planBuild(database.pool, graph);
  await compute(database.pool, graph, plan);
  await erase(canary);
  await expect(publish(database.pool, graph, plan.buildId as string)).rejects.toMatchObject({ code: "epoch_conflict" });
});

test("a merge that is published between scope and tombstone is seen: its identifiers are erased as well", async () => {
  await database.pool.query(
    `create table if not exists core.identifiers (token text, customer_id uuid, is_shared boolean, is_blocked boolean);
     create table if not exists core.merged_people (former_customer_id uuid, customer_id uuid)`,
  );
  const [owner, device] = [crypto.randomUUID(), vault.naming.token("device_id", `dev-${number}`)];
  await database.pool.query("insert into core.identifiers values ($1, $2, false, false)", [tokenOf(canary), owner]);
  const batchId = await approve(canary);
  const publisher = await database.pool.connect();
  await publisher.query("begin");
  await publisher.query("insert into core.identifiers values ($1, $2, false, false)", [device, owner]);
  await publisher.query("select from privacy.epoch for share");
  const tombstoned = tombstone(database.pool, vault, batchId);
  await sleep(300);
  await publisher.query("commit");
  publisher.release();
  // Its hash, and the address's own and its mailbox's.
  expect(await tombstoned).toBe(3);
  await awaitFence(database.pool, batchId);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
  await land([{ id: 70, device: `dev-${number}` }]);
  expect((await database.pool.query(`select from ${table} where device = $1`, [device])).rows).toEqual([]);
  await database.pool.query("drop table core.identifiers, core.merged_people");
});
