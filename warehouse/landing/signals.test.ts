import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Signal, Stream, StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testPlan, testStream } from "../../test/landing.ts";
import { recordSaid } from "../consent/record.ts";
import { readConsent } from "../consent/state.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import { reprocessBatch } from "./reprocess.ts";
import { followSchema } from "./table.ts";

const ANNA = "00000000-0000-4000-8000-00000000000a";
const FIELDS: StreamSchema["properties"] = {
  id: { type: "integer" },
  device: { type: ["string", "null"], personal: "device_id", identifier: "device_id" },
  email: { type: ["string", "null"], personal: "email", identifier: "email" },
  gpc: { type: ["string", "null"] },
  marketing: { type: ["string", "null"] },
  no_ads: { type: ["boolean", "null"] },
  at: { type: ["string", "null"], format: "date-time" },
  law: { type: ["string", "null"] },
  notice: { type: ["string", "null"] },
};
const GPC: Signal = { field: "gpc", choice: "gpc", occurred_at: "at", jurisdiction: "law" };
const BANNER: Signal = {
  field: "marketing",
  choice: "consent",
  purpose: "marketing",
  given: ["granted"],
  occurred_at: "at",
  jurisdiction: "law",
  notice_version: "notice",
};

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
  await database.pool.query(
    "create table core.identifiers (token text primary key, kind text, customer_id uuid, is_shared boolean, is_blocked boolean)",
  );
  await database.pool.query("select ops.settle_privileges()");
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(`
    alter table privacy.consent_events disable trigger insert_only;
    delete from privacy.consent_identifiers; delete from privacy.consent_events;
    alter table privacy.consent_events enable trigger insert_only; truncate core.identifiers`);
  const tokens = [
    ...["dev-a", "dev-c"].map((device) => vault.naming.token("device_id", device)),
    vault.naming.token("email", "anna@shop.test"),
  ];
  await database.pool.query("insert into core.identifiers (token, customer_id) select unnest($1::text[]), $2", [
    tokens,
    ANNA,
  ]);
});

const streamOf = (signals: Signal[], settings: Partial<Stream> = {}): Stream =>
  testStream({ type: "object", properties: FIELDS, signals }, { source: "web", ...settings });
const land = (stream: Stream, ...pages: Record<string, unknown>[][]) =>
  syncPages(
    database.pool,
    vault,
    stream,
    pages.map((records) => ({ records })),
  );
const visit = (id: number, more: Record<string, unknown> = {}) => ({
  id,
  device: "dev-a",
  at: `2026-03-01T10:00:${String(id).padStart(2, "0")}Z`,
  ...more,
});
const ledger = async () =>
  (
    await database.pool.query<Record<string, unknown>>(
      `select choice, purpose, is_given as given, source, jurisdiction as law, to_char(occurred_at, 'SS') as at, notice_version as notice,
         (select count(*)::int from privacy.consent_identifiers as who where who.event_id = e.event_id) as tokens
       from privacy.consent_events as e order by occurred_at, event_id`,
    )
  ).rows;
const standing = async (...purposes: string[]) =>
  (await readConsent(database.pool, [ANNA], purposes)).map((state) => state.standing);

test("Sec-GPC: 1 opts out of sale and sharing by a device alone, as soon as its record has landed, and once", async () => {
  const stream = streamOf([GPC]);
  await land(stream, [visit(1, { gpc: "1", law: "us-ca" }), visit(2, { gpc: "1", law: "US-CA" }), visit(3)]);
  expect(await ledger()).toEqual(
    ["sale", "sharing"].map((purpose) => {
      const who = { law: "US-CA", at: "01", notice: null, tokens: 1 };
      return { choice: "opt_out", purpose, given: true, source: "gpc:web", ...who };
    }),
  );
  expect(await standing("sale", "sharing", "marketing")).toEqual(["unknown", "opted_out", "opted_out"]);
  await land(stream, [visit(4, { gpc: "1", law: "US-CA" })], [visit(5), visit(6, { gpc: "0" })]);
  expect(await ledger()).toHaveLength(2);
  expect(await standing("sale")).toEqual(["opted_out"]);
});

test.each(["0", "1, 1", "11", "true", "?1", "", "1;0", null, undefined])("Sec-GPC: %s is no signal", async (gpc) => {
  await land(streamOf([GPC]), [visit(1, gpc === undefined ? {} : { gpc })]);
  expect(await ledger()).toEqual([]);
});

test("whom nobody can name, and whose record breaks its schema, has said nothing", async () => {
  await land(streamOf([GPC], { rejectLimit: 1 }), [
    visit(1, { device: null, gpc: "1" }),
    visit(2, { gpc: "1", no_ads: "perhaps" }),
  ]);
  expect(await ledger()).toEqual([]);
});

test("a refusal beside a stored consent wins, both stand in the ledger, and neither a later consent nor silence lifts it", async () => {
  const tokens = [vault.naming.token("email", "anna@shop.test")];
  const said = { choice: "consent" as const, isGiven: true, purpose: "sale", source: "cli", noticeVersion: null };
  const say = (day: string, more = {}) =>
    inTransaction(database.pool, (client) =>
      recordSaid(
        client,
        { ...said, jurisdiction: "US-CA", expiresAt: null, occurredAt: new Date(day), ...more },
        tokens,
        "test",
      ),
    );
  await say("2026-01-01");
  expect(await standing("sale")).toEqual(["granted"]);
  await land(streamOf([GPC]), [visit(1, { email: "Anna@Shop.test", gpc: "1" })]);
  await say("2026-04-01");
  expect(await standing("sale")).toEqual(["opted_out"]);
  expect((await ledger()).map(({ choice }) => choice)).toEqual(["consent", "opt_out", "opt_out", "consent"]);
  // Taken back by the person: the same browser says nothing new, and another does.
  await say("2026-05-01", { choice: "opt_out", isGiven: false });
  await land(streamOf([GPC]), [visit(1, { gpc: "1", at: "2026-06-01T00:00:00Z" })]);
  expect(await standing("sale")).toEqual(["granted"]);
  await land(streamOf([GPC]), [visit(1, { gpc: "1", device: "dev-c", at: "2026-06-02T00:00:00Z" })]);
  expect(await standing("sale")).toEqual(["opted_out"]);
});

test("a banner's choices follow each other as they were made, however they arrive, and the same again is nothing new", async () => {
  const stream = streamOf([BANNER]);
  const choose = (id: number, marketing: string | null, notice = "v1") => visit(id, { marketing, notice, law: "EU" });
  await land(stream, [choose(9, "granted"), choose(1, "granted"), choose(5, "denied"), choose(3, "granted"), visit(2)]);
  const seen = async () => (await ledger()).map(({ at, given, notice }) => `${at as string} ${given} ${notice}`);
  expect(await seen()).toEqual(["01 true v1", "05 false v1", "09 true v1"]);
  expect(await standing("marketing")).toEqual(["granted"]);
  // What comes late counts from its own moment; what is neither is no yes; what is empty says nothing.
  await land(stream, [choose(7, "denied"), choose(10, "maybe"), choose(11, ""), choose(12, null)]);
  expect(await seen()).toEqual(["01 true v1", "05 false v1", "09 true v1", "10 false v1"]);
  expect(await standing("marketing")).toEqual(["refused"]);
  const before = await ledger();
  await land(
    { ...stream, name: `${stream.name}_again` },
    [
      [1, "granted"],
      [3, "granted"],
      [5, "denied"],
      [9, "granted"],
      [10, "maybe"],
    ].map(([id, marketing]) => choose(id as number, marketing as string)),
  );
  expect(await ledger()).toEqual(before);
  await land(stream, [choose(20, "granted", "v2")]);
  expect(await standing("marketing")).toEqual(["granted"]);
});

test("a consent without its moment is none; a refusal counts from when it landed, and a law that is not known is none", async () => {
  const noAds: Signal = { field: "no_ads", choice: "objection", purpose: "marketing", jurisdiction: "law" };
  await land(streamOf([BANNER, noAds]), [
    visit(1, { marketing: "granted", at: null }),
    visit(2, { no_ads: true, at: null, law: "Atlantis; anna@shop.test" }),
    visit(3, { no_ads: false }),
  ]);
  expect(await ledger()).toMatchObject([{ choice: "objection", purpose: "marketing", law: null, source: "web" }]);
  expect(await standing("marketing")).toEqual(["objected"]);
});

test("a schema that comes to declare a signal has it read from what landed before", async () => {
  const plain = testStream({ type: "object", properties: FIELDS }, { source: "web" });
  await land(plain, [visit(1, { gpc: "1" }), visit(2, { gpc: "1", device: "dev-b" }), visit(3)]);
  expect(await ledger()).toEqual([]);
  const plan = testPlan({ ...plain, schema: { ...plain.schema, signals: [GPC] } }, { kinds: ["device_id", "email"] });
  await inTransaction(database.pool, (client) => followSchema(client, plan));
  while ((await reprocessBatch(database.pool, vault, plan)) !== null);
  expect(await ledger()).toHaveLength(4);
  expect(await standing("sale")).toEqual(["opted_out"]);
});

test("who lands may add to the ledger and never alter it, and a million visits with one header are one event", async () => {
  const stream = streamOf([GPC], { name: `v_${randomUUID().slice(0, 8)}` });
  const page = (from: number) =>
    Array.from({ length: 5_000 }, (_, i) => ({ ...visit(1, { gpc: "1" }), id: from + i, device: `d${i % 40}` }));
  await land(stream, page(0), page(5_000), page(10_000));
  expect(await ledger()).toHaveLength(80);
  await inTransaction(database.pool, async (client) => {
    await client.query("set local role loader");
    for (const change of [
      "update privacy.consent_events set is_given = false",
      "delete from privacy.consent_identifiers",
    ]) {
      await client.query("savepoint before");
      await expect(client.query(change)).rejects.toThrow(/permission denied/);
      await client.query("rollback to before");
    }
  });
});
