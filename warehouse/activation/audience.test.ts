import fc from "fast-check";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { csvLine } from "../../domain/csv-line.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault } from "../../test/landing.ts";
import { verifyAudit } from "../audit.ts";
import { recordSaid, type Said } from "../consent/record.ts";
import type pg from "pg";
import { inTransaction, openPool } from "../database.ts";
import type { Vault } from "../vault.ts";
import { handOverAudience, type AudienceMember } from "./audience.ts";
import { audienceCsv } from "./csv.ts";

let database: TestDatabase;
let activator: pg.Pool;
let vault: Vault;
const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const email = (n: number) => (n === 1 ? "canary-7f3a@victim.test" : `control${n}@shop.example`);
const token = (n: number) => vault.naming.token("email", email(n));
const query = async (text: string, values?: unknown[]) => (await database.pool.query(text, values)).rows as unknown[];

beforeAll(async () => {
  database = await createTestDatabase();
  activator = openPool(database.url, { name: "activator", role: "activator" });
  vault = await openTestVault(database.pool);
  await query(`
    create table core.identifiers (token text primary key, kind text, customer_id uuid);
    create table mart.dim_segments (segment text primary key, customers bigint);
    create table mart.fct_segment_memberships (segment text, customer_id uuid, valid tstzrange)`);
  await query("select ops.settle_privileges()");
  await inTransaction(database.pool, (client) =>
    vault.identifierKeys(
      client,
      new Map([1, 2, 3].map((n) => [token(n), { kind: "email", canonical: email(n), foldedToken: null }])),
      new Set(),
    ),
  );
});
afterAll(async () => {
  await activator.end();
  await database.drop();
});
beforeEach(async () => {
  await query(`
    alter table privacy.consent_events disable trigger insert_only;
    delete from privacy.consent_identifiers; delete from privacy.consent_events; delete from privacy.recipients;
    alter table privacy.consent_events enable trigger insert_only;
    truncate core.identifiers, mart.dim_segments, mart.fct_segment_memberships;
    insert into mart.dim_segments values ('champions', 3)`);
  for (const n of [1, 2, 3]) {
    await query("insert into core.identifiers values ($1, 'email', $2)", [token(n), id(n)]);
    await query("insert into mart.fct_segment_memberships values ('champions', $1, '[2026-01-01,)')", [id(n)]);
    await say(n, {});
  }
});

const say = (n: number, said: Partial<Said>) =>
  inTransaction(database.pool, (client) =>
    recordSaid(
      client,
      {
        choice: "consent",
        isGiven: true,
        purpose: "marketing",
        occurredAt: new Date(Date.now() - (said.choice || said.isGiven === false ? 0 : 60_000)),
        source: "cli",
        noticeVersion: null,
        jurisdiction: "EU",
        expiresAt: null,
        ...said,
      },
      [token(n)],
      "test",
    ),
  );
const order = { segment: "champions", purpose: "marketing", recipient: "adwords", fields: ["email"], actor: "test" };
async function handOver(before: () => Promise<unknown> = async () => undefined, own = order) {
  const got: AudienceMember[] = [];
  const report = await handOverAudience(activator, vault, own, async (batches) => {
    await before();
    for await (const members of batches) got.push(...members);
  });
  return { report, got, emails: got.flatMap(({ identifiers }) => identifiers["email"] ?? []).toSorted() };
}
const states = async () =>
  (await query("select right(customer_id::text, 1) || ' ' || state as line from privacy.recipients order by 1")).map(
    (row) => (row as { line: string }).line,
  );

test("who allows the purpose is handed over, opened, and stands in the list of recipients", async () => {
  const { report, emails } = await handOver();
  expect(report).toMatchObject({ members: 3, excluded: 0 });
  expect(emails).toEqual([1, 2, 3].map(email));
  expect(await states()).toEqual(["1 done", "2 done", "3 done"]);
});

test.each([
  ["has withdrawn", { isGiven: false }],
  ["has objected to everything", { choice: "objection", purpose: "*" }],
  ["has opted out", { choice: "opt_out" }],
  ["is restricted", { choice: "restriction", purpose: "*" }],
] as [string, Partial<Said>][])("who %s is never claimed", async (_, said) => {
  await say(1, said);
  const { report, emails } = await handOver();
  expect(report).toMatchObject({ members: 2, excluded: 1 });
  expect(emails).toEqual([email(2), email(3)]);
  expect(await states()).toEqual(["2 done", "3 done"]);
});

test("who withdraws between the claim and the sending is withheld", async () => {
  const { report, emails } = await handOver(() => say(1, { isGiven: false }));
  expect(report).toMatchObject({ members: 2, excluded: 1 });
  expect(emails).toEqual([email(2), email(3)]);
  expect(await states()).toEqual(["1 withheld", "2 done", "3 done"]);
});

test("an audience of several batches is handed over whole, and nobody twice", async () => {
  const event = `insert into privacy.consent_events (occurred_at, choice, is_given, purpose, source) values (now(), 'consent', true, 'marketing', 'cli') returning event_id`;
  await query(
    `with people as (select n, ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid as customer_id from generate_series(1, 1100) as n),
     event as (${event}), named as (insert into core.identifiers select 'email_' || n, 'email', customer_id from people),
     said as (insert into privacy.consent_identifiers select 'email_' || n, event_id from people, event)
     insert into mart.fct_segment_memberships select 'champions', customer_id, '[2026-01-01,)' from people`,
  );
  const { got } = await handOver();
  expect(new Set(got.map(({ pseudonym }) => pseudonym)).size).toBe(1103);
  expect(got).toHaveLength(1103);
});

test("consent to another purpose, no consent at all, and having left the segment are a no", async () => {
  await say(1, { isGiven: false });
  await query("update mart.fct_segment_memberships set valid = '[2026-01-01,2026-02-01)' where customer_id = $1", [
    id(2),
  ]);
  expect((await handOver()).emails).toEqual([email(3)]);
  expect((await handOver(undefined, { ...order, purpose: "sale" })).emails).toEqual([]);
});

test("an erasure after the claim stops it before anybody is opened", async () => {
  const erasing = handOver(() => query("update privacy.epoch set epoch = epoch + 1"));
  await expect(erasing).rejects.toMatchObject({ code: "epoch_conflict" });
  expect(await states()).toEqual(["1 intended", "2 intended", "3 intended"]);
});

test("where consent can't be read, nothing leaves", async () => {
  const got: unknown[] = [];
  await query("alter table privacy.consent_events rename to hidden");
  try {
    const failing = handOverAudience(activator, vault, order, async (batches) => {
      for await (const members of batches) got.push(members);
    });
    await expect(failing).rejects.toThrow(/does not exist/);
  } finally {
    await query("alter table privacy.hidden rename to consent_events");
  }
  expect([got, await states()]).toEqual([[], []]);
});

test("what an interruption left between intention and end becomes unknown", async () => {
  await expect(handOver(() => Promise.reject(new Error("killed")))).rejects.toThrow("killed");
  await handOver();
  expect((await states()).toSorted()).toEqual([1, 2, 3].flatMap((n) => [`${n} done`, `${n} unknown`]).toSorted());
});

test("two recipients know a customer by names that can't be joined, one by the same name every time", async () => {
  const names = async (recipient: string) =>
    (await handOver(undefined, { ...order, recipient })).got.map(({ pseudonym }) => pseudonym);
  const [first, again, other] = [await names("adwords"), await names("adwords"), await names("mailer")];
  expect(first).toEqual(again);
  expect(first.filter((name) => other.includes(name))).toEqual([]);
});

test("a swapped ciphertext opens for nobody, and nothing is sent", async () => {
  await query(
    `update vault.identifiers set sealed = (select sealed from vault.identifiers where token = $1) where token = $2`,
    [token(1), token(2)],
  );
  await expect(handOver()).rejects.toThrow(/does not open/);
  await query("delete from vault.identifiers where token = $1", [token(2)]);
});

test("neither the audit nor the list of recipients holds what was handed over", async () => {
  await handOver();
  const text = JSON.stringify([
    await query("select * from privacy.audit"),
    await query("select * from privacy.recipients"),
  ]);
  expect(text).toContain("audience.claim");
  expect(text).not.toContain("canary");
  expect((await inTransaction(database.pool, (client) => verifyAudit(client))).firstBad).toBeNull();
});

test("a segment that was never published is told", async () => {
  await expect(handOver(undefined, { ...order, segment: "nobody" })).rejects.toThrow(/not published yet/);
});

test("no cell begins a formula, phone numbers stay, and every cell is read back", async () => {
  expect(csvLine(["=HYPERLINK(1)", "+33612345678", "+1+1", "-2", "@x", "\tx", 'a"b', "c,d"])).toBe(
    `'=HYPERLINK(1),+33612345678,'+1+1,'-2,'@x,'\tx,"a""b","c,d"\r\n`,
  );
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 2 }), (cells) => {
      const [read = []] = parse(csvLine(cells), { relax_column_count: true }) as string[][];
      expect(read.map((cell, i) => (cell === `'${cells[i]}` ? cells[i] : cell))).toEqual(cells);
      expect(read.some((cell) => /^[=\-@\t\r\n]/.test(cell))).toBe(false);
    }),
  );
  async function* batches(): AsyncGenerator<AudienceMember[]> {
    yield [{ pseudonym: "p1", identifiers: { email: ["a@b.example", "c@d.example"] } }];
    yield [{ pseudonym: "p2", identifiers: {} }];
  }
  const lines: string[] = [];
  for await (const line of audienceCsv(batches(), ["email"])) lines.push(line);
  expect(lines.join("")).toBe("pseudonym,email\r\np1,a@b.example;c@d.example\r\np2,\r\n");
});
