import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { recordAudit, verifyAudit, type AuditVerdict } from "./audit.ts";
import { inTransaction } from "./database.ts";

const CUSTOMER = "6f1c0a8e-0000-4000-8000-000000000001";
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const write = (action = "reveal", purpose = "a complaint by letter"): Promise<string> =>
  inTransaction(database.pool, (client) =>
    recordAudit(client, { actor: "os:anna", action, subject: { customerId: CUSTOMER }, purpose, detail: { rows: 3 } }),
  );
const verify = (known: Parameters<typeof verifyAudit>[1] = null): Promise<AuditVerdict> =>
  inTransaction(database.pool, (client) => verifyAudit(client, known));
/** What somebody with the rights of a superuser does to the audit, undone after `look`. */
async function tampered(statement: string, look: () => Promise<AuditVerdict>): Promise<AuditVerdict> {
  const client = await database.pool.connect();
  try {
    await client.query("set session_replication_role = replica");
    await client.query("create table if not exists public.audit_copy as table privacy.audit");
    await client.query("create table if not exists public.chain_copy as table privacy.audit_chain");
    await client.query(statement);
    return await look();
  } finally {
    await client.query("truncate privacy.audit, privacy.audit_chain");
    await client.query("insert into privacy.audit table public.audit_copy");
    await client.query("insert into privacy.audit_chain table public.chain_copy");
    await client.query("drop table public.audit_copy, public.chain_copy");
    await client.query("reset session_replication_role");
    client.release();
  }
}

test("lines written at once by many, some rolled back, are one unbroken chain", async () => {
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      if (index % 4 !== 0) return await write();
      const failed = inTransaction(database.pool, async (client) => {
        await recordAudit(client, { actor: "worker", action: "reveal" });
        throw new Error("rolled back");
      });
      return await expect(failed).rejects.toThrow("rolled back");
    }),
  );
  expect(await verify()).toMatchObject({ lines: 15, head: { seq: 15 }, firstBad: null });
});

test("the audit names a person by a random reference alone, and nobody once the reference is cut", async () => {
  const auditId = await write();
  const { rows } = await database.pool.query(
    "select audit::text as line, subject from privacy.audit where audit_id = $1",
    [auditId],
  );
  expect(rows[0].line).not.toContain(CUSTOMER);
  const cut = await database.pool.query("delete from privacy.subjects where customer_id = $1 returning subject", [
    CUSTOMER,
  ]);
  expect(cut.rows).toEqual([{ subject: rows[0].subject }]);
  expect((await verify()).firstBad).toBeNull();
});

test("an e-mail address or a phone number in a purpose does not get into a table that forgets nothing", async () => {
  const auditId = await write("reveal", "jane.doe@mail.example rang from +49 1511 2345678");
  const { rows } = await database.pool.query("select purpose from privacy.audit where audit_id = $1", [auditId]);
  expect(rows[0].purpose).toBe("(email) rang from (phone)");
});

test("a line can be neither altered nor deleted, not even by the owner", async () => {
  for (const statement of [
    "update privacy.audit set actor = 'nobody'",
    "delete from privacy.audit",
    "truncate privacy.audit cascade",
    "update privacy.audit_chain set seq = seq + 1",
    "delete from privacy.audit_chain",
  ]) {
    await expect(database.pool.query(statement)).rejects.toThrow("insert-only");
  }
});

test("what was done to the audit behind its back is named by the first bad line", async () => {
  const at = (seq: number): string => `(select audit_id from privacy.audit_chain where seq = ${seq})`;
  const cases: [statement: string, firstBad: object][] = [
    [
      `update privacy.audit set actor = 'os:anne' where audit_id = ${at(4)}`,
      { seq: 4, reason: "the line or its hash was altered" },
    ],
    [`update privacy.audit set detail = '{"rows": 2}' where audit_id = ${at(5)}`, { seq: 5 }],
    [
      `update privacy.audit set happened_at = happened_at - interval '1 microsecond' where audit_id = ${at(6)}`,
      { seq: 6 },
    ],
    [`delete from privacy.audit where audit_id = ${at(7)}`, { seq: 7, reason: "the line was deleted" }],
    ["delete from privacy.audit_chain where seq = 8", { seq: 8, reason: "the line is missing" }],
    [
      "insert into privacy.audit (actor, action) values ('os:mallory', 'reveal')",
      { seq: null, reason: "the line is not part of the chain" },
    ],
  ];
  for (const [statement, firstBad] of cases) {
    expect((await tampered(statement, verify)).firstBad, statement).toMatchObject(firstBad);
  }
  expect((await verify()).firstBad).toBeNull();
});

test("lines cut off from the end are noticed by a head that was noted elsewhere", async () => {
  const { head, lines } = await verify();
  const cut = `with last as (delete from privacy.audit_chain where seq > ${lines - 2} returning audit_id)
    delete from privacy.audit where audit_id in (select audit_id from last)`;
  expect((await tampered(cut, () => verify())).firstBad).toBeNull();
  expect((await tampered(cut, () => verify(head))).firstBad).toMatchObject({ seq: lines - 1 });
  const anew = { seq: 3, hash: "00".repeat(32) };
  expect((await verify(anew)).firstBad).toMatchObject({ seq: 3, reason: expect.stringContaining("written anew") });
});
