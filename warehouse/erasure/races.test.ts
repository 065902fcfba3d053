import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import { planBuild } from "../models/plan.ts";
import { publish } from "../models/publish.ts";
import { compute, graphOf, sqlFile } from "../models/test-warehouse.ts";
import { readReceipts, verifyReceipts, type Receipt } from "../receipts.ts";
import { readmit } from "../requests/readmit.ts";
import { receiveRequest } from "../requests/store.ts";
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

async function approve(email: string): Promise<string> {
  const requestId = await receiveRequest(database.pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: null,
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind: "email", canonical: email }],
    actor: "test",
  });
  await database.pool.query("update privacy.requests set state = 'approved' where request_id = $1", [requestId]);
  return (await claimBatch(database.pool))?.batchId as string;
}

const NO_RULES = { facts: new Map(), rules: new Map(), categories: new Map() };
const sweepNow = (batchId: string) => sweep(database.pool, vault, batchId, NO_RULES, () => false);
async function erase(email: string): Promise<void> {
  const batchId = await approve(email);
  await tombstone(database.pool, vault, batchId);
  await awaitFence(database.pool, batchId);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
}

test("an erasure in the middle of a sync leaves nothing, whichever comes first", async () => {
  const pages = Array.from({ length: 6 }, (_, page) => ({
    records: Array.from({ length: 300 }, (_, i) => ({
      id: 1000 + page * 300 + i,
      email: i % 10 ? `x${i}@crowd.test` : canary,
    })),
  }));
  const [report] = await Promise.all([
    syncPages(database.pool, vault, stream, pages),
    sleep(Math.random() * 60).then(() => erase(canary)),
  ]);
  expect(report.rowsRead).toBe(1800);
  expect(await left()).toBe(0);
  const { rows } = await database.pool.query(`select count(*)::int as rows from ${table} where email is not null`);
  expect(rows[0].rows).toBeGreaterThan(1600);
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
  await land([
    { id: 10, email: ` ${upper} ` },
    { id: 11, email: `"Jane" <${canary}>` },
    { id: 12, email: canary.replace("victim", "ｖictim") },
    { id: 13, email: "other@living.test", note: `ask ${canary}, or https://x.test/?q=${encodeURIComponent(canary)}` },
    { id: "no number", email: canary },
  ]);
  expect(await left()).toBe(0);
  const { rows } = await database.pool.query(
    `select id::int, note from ${table} where id >= 10 and id < 100 order by id`,
  );
  expect(rows).toEqual([{ id: 13, note: expect.stringContaining("(erased)") }]);
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
