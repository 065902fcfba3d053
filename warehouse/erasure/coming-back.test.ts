import { expect, test } from "vitest";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { openTestVault, syncPages, testKeys, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import { readReceipts, verifyReceipts, type Receipt } from "../receipts.ts";
import { readmit } from "../requests/readmit.ts";
import { receiveRequest } from "../requests/store.ts";
import { beginRotation, destroyRetired, rewrapKeys } from "../rotation.ts";
import { finishBatch } from "./batch.ts";
import { tombstone } from "./tombstone.ts";
import {
  approve,
  canary,
  database,
  erase,
  land,
  left,
  number,
  openAs,
  prepareErasures,
  stream,
  sweepNow,
  table,
  tokenOf,
  vault,
} from "./test-erasure.ts";

prepareErasures();

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
  openAs(later);
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
