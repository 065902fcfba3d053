import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { Random } from "../../demo/random.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { openTestVault, syncPages, testKeys, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import { planBuild } from "../models/plan.ts";
import { publish } from "../models/publish.ts";
import { compute, graphOf, sqlFile } from "../models/test-warehouse.ts";
import { readReceipts, verifyReceipts, type Receipt } from "../receipts.ts";
import { readmit } from "../requests/readmit.ts";
import { receiveRequest } from "../requests/store.ts";
import { beginRotation, destroyRetired, rewrapKeys } from "../rotation.ts";
import type { Vault } from "../vault.ts";
import { claimBatch, finishBatch } from "./batch.ts";
import { awaitFence } from "./fence.ts";
import { sweep } from "./sweep.ts";
import { tombstone } from "./tombstone.ts";

let database: TestDatabase;
let vault: Vault;
let canary: string;
let number = 0;
const stream = testStream({
  type: "object",
  properties: {
    id: { type: "integer" },
    email: { type: ["string", "null"], personal: "email", identifier: "email" },
    device: { type: ["string", "null"], personal: "device_id", identifier: "device_id" },
    note: { type: ["string", "null"] },
  },
});
const table = quoteName("raw", `shop__${stream.name}`);

beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());
beforeEach(async () => {
  number += 1;
  canary = `canary-${number}@victim.test`;
  await land([
    { id: 1, email: canary, device: `dev-${number}` },
    { id: 2, email: "control@living.test" },
  ]);
});

const land = (records: Record<string, unknown>[]) => syncPages(database.pool, vault, stream, [{ records }]);
const tokenOf = (email: string): string => vault.naming.token("email", email);

/** Rows that carry the canary's address, in the table and its history. */
async function left(): Promise<number> {
  const token = tokenOf(canary);
  const { rows } = await database.pool.query<{ count: number }>(
    `select (select count(*) from ${table} as t where strpos(t::text, $1) > 0)::int
       + (select count(*) from ${quoteName("raw", `shop__${stream.name}__history`)} as t where strpos(t::text, $1) > 0)::int
       + (select count(*) from vault.identifiers where token = $1)::int
       + (select count(*) from ops.quarantine where $1 = any(tokens))::int as count`,
    [token],
  );
  return rows[0]?.count ?? -1;
}

async function approve(canonical: string, kind = "email"): Promise<string> {
  const requestId = await receiveRequest(database.pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: null,
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind, canonical }],
    actor: "test",
  });
  await database.pool.query("update privacy.requests set state = 'approved' where request_id = $1", [requestId]);
  return (await claimBatch(database.pool))?.batchId as string;
}

const NO_RULES = { facts: new Map(), rules: new Map(), categories: new Map() };
const sweepNow = (batchId: string) => sweep(database.pool, vault, batchId, NO_RULES, () => false);
async function erase(canonical: string, kind = "email"): Promise<void> {
  const batchId = await approve(canonical, kind);
  await tombstone(database.pool, vault, batchId);
  await awaitFence(database.pool, batchId);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
}

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

test("no spelling of an erased address is let in again: as a field, in a text, in what is rejected", async () => {
  await erase(canary);
  const upper = canary.toUpperCase();
  const base64 = Buffer.from(`to=${canary}`).toString("base64");
  await land([
    { id: 10, email: ` ${upper} ` },
    { id: 11, email: `"Jane" <${canary}>` },
    { id: 12, email: canary.replace("victim", "ｖictim") },
    { id: 13, email: "other@living.test", note: `ask ${canary}, or https://x.test/?q=${encodeURIComponent(canary)}` },
    { id: 14, email: "more@living.test", note: JSON.stringify({ friends: [{ mail: upper }], [canary]: [canary] }) },
    { id: 15, email: "most@living.test", note: `payload ${base64}` },
    { id: "no number", email: canary },
  ]);
  expect(await left()).toBe(0);
  const { rows } = await database.pool.query(
    `select id::int, note from ${table} where id >= 10 and id < 100 order by id`,
  );
  const opened = rows.map(({ id, note }) => ({
    id: id as number,
    note: (note as string).replace(/(?<=payload ).*/, (encoded) => Buffer.from(encoded, "base64").toString()),
  }));
  expect(opened).toEqual([13, 14, 15].map((id) => ({ id, note: expect.stringContaining("(erased)") as string })));
  expect(JSON.stringify(opened)).not.toContain("victim");
  const { rows: counts } = await database.pool.query(
    "select suppressed::int from ops.syncs order by started_at desc limit 1",
  );
  expect(counts).toEqual([{ suppressed: 3 }]);
});

test("dots and tags that the provider ignores do not bring a mailbox back", async () => {
  await land([{ id: 20, email: `jane.canary${number}@gmail.com` }]);
  await erase(`janecanary${number}@gmail.com`);
  await land([
    { id: 21, email: `j.anecanary${number}+x@googlemail.com` },
    { id: 20, email: `jane.canary${number}@gmail.com` },
  ]);
  const { rows } = await database.pool.query(`select from ${table} where id in (20, 21)`);
  expect(rows).toEqual([]);
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

test("two rotations of the keys later the erased are still known", async () => {
  await erase(canary);
  for (let turn = 1; turn <= 2; turn += 1) {
    const rotation = await beginRotation(database.pool, testKeys, "test");
    await rewrapKeys(database.pool, testKeys, rotation);
    await destroyRetired(database.pool, testKeys, rotation, "test");
  }
  const later = await openTestVault(database.pool);
  await syncPages(database.pool, later, stream, [{ records: [{ id: 80, email: canary }] }]);
  expect(await left()).toBe(0);
  vault = later;
});

test("an address of an international domain and a phone number are known in every way to write them", async () => {
  const [address, phone] = [`zoe-${number}@bücher.test`, `+33 6 12 34 5${number % 10} 78`];
  const numbered = testStream({
    type: "object",
    properties: {
      id: { type: "integer" },
      email: { type: ["string", "null"], personal: "email", identifier: "email" },
      phone: { type: ["string", "null"], personal: "phone", identifier: "phone" },
    },
  });
  const landNumbered = (records: Record<string, unknown>[]) => syncPages(database.pool, vault, numbered, [{ records }]);
  await landNumbered([{ id: 1, email: address, phone }]);
  for (const [kind, value] of [
    ["email", address],
    ["phone", phone],
  ] as const) {
    await erase(normaliseIdentifier(kind, value, "FR")!, kind);
  }
  await landNumbered([
    { id: 2, email: address.replace("bücher", "xn--bcher-kva") },
    { id: 3, email: address.replace("bücher", "BÜCHER") },
    { id: 4, phone: phone.replace("+33 ", "0") },
    { id: 5, phone: phone.replace("+", "00").replaceAll(" ", "") },
    { id: 6, phone: `tel:${phone.replaceAll(" ", "-")}` },
    { id: 7, email: "living@other.test", phone: null },
  ]);
  const { rows } = await database.pool.query(`select id::int from ${quoteName("raw", `shop__${numbered.name}`)}`);
  expect(rows).toEqual([{ id: 7 }]);
});

test("a device of an erased person that is seen again is dropped, and links nobody", async () => {
  await database.pool.query(
    `create table if not exists core.identifiers (token text, customer_id uuid, is_shared boolean, is_blocked boolean)`,
  );
  await database.pool.query(
    "create table if not exists core.merged_people (former_customer_id uuid, customer_id uuid)",
  );
  const owner = crypto.randomUUID();
  await database.pool.query("insert into core.identifiers values ($1, $3, false, false), ($2, $3, false, false)", [
    tokenOf(canary),
    vault.naming.token("device_id", `dev-${number}`),
    owner,
  ]);
  await erase(canary);
  await land([
    { id: 30, device: `dev-${number}` },
    { id: 31, device: `dev-${number}`, email: canary },
  ]);
  const { rows } = await database.pool.query(`select from ${table} where id in (30, 31)`);
  expect(rows).toEqual([]);
  await database.pool.query("drop table core.identifiers, core.merged_people");
});

test("a list of suppressions that was cut short stops every load", async () => {
  await erase(canary);
  const { rows } = await database.pool.query("delete from privacy.suppressions returning hash, request_id");
  // A process that starts now has not read the list yet.
  const other = await openTestVault(database.pool);
  const load = () => syncPages(database.pool, other, stream, [{ records: [{ id: 40, email: canary }] }]);
  await expect(load()).rejects.toMatchObject({ code: "suppressions_unreadable" });
  for (const { hash, request_id } of rows) {
    await database.pool.query("insert into privacy.suppressions (hash, request_id) values ($1, $2)", [
      hash,
      request_id,
    ]);
  }
  await load();
  expect(await left()).toBe(0);
});

test("a person who is readmitted lands again, under a key of their own", async () => {
  await erase(canary);
  await land([{ id: 1, email: canary }]);
  expect(await left()).toBe(0);
  const requestId = await receiveRequest(database.pool, vault, {
    kind: "readmission",
    channel: "cli",
    jurisdiction: null,
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind: "email", canonical: canary }],
    actor: "test",
  });
  const receipt = await readmit(database.pool, vault, requestId, "test");
  expect(verifyReceipts(await readReceipts(database.pool, requestId))[0]?.statement).toMatchObject({
    receipt,
    occasion: "readmission",
    suppressions_lifted: 2,
  });
  expect(await readmit(database.pool, vault, requestId, "test")).toBe(receipt);
  await land([{ id: 50, email: canary }]);
  // The row, and the identifier with its key.
  expect(await left()).toBe(2);
});

test("a receipt that was altered, or does not follow the one before, is told", async () => {
  const receipts = await readReceipts(database.pool, null);
  expect(verifyReceipts(receipts)).toHaveLength(receipts.length);
  const [first] = receipts as [Receipt];
  const altered = { ...first, body: first.body.replace('"completed"', '"refused"') };
  expect(() => verifyReceipts([altered])).toThrow(/receipt 1: its signature/);
  expect(() => verifyReceipts([{ ...first, hash: "00".repeat(32) }])).toThrow(/its hash is another/);
  expect(() => verifyReceipts([first], "0123456789abcdef")).toThrow(/signed by another key/);
  await expect(database.pool.query("delete from privacy.receipts")).rejects.toThrow(/only inserted/);
});

test("a sweep that is done again changes nothing, and counts nothing twice", async () => {
  const batchId = await approve(canary);
  await tombstone(database.pool, vault, batchId);
  await sweepNow(batchId);
  const read = async () =>
    (await database.pool.query("select swept from privacy.erasure_batches where batch_id = $1", [batchId])).rows[0]
      .swept;
  const before = await read();
  expect(before[`raw.shop__${stream.name} delete`]).toBe(1);
  expect(await tombstone(database.pool, vault, batchId)).toBe(0);
  await sweepNow(batchId);
  expect(await read()).toEqual(before);
  await finishBatch(database.pool, batchId);
});
