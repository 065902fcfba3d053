import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { erasureWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { ErasureReport } from "../domain/requests.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { readSubject } from "../warehouse/requests/subject.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

let directory: string;
let pipeline: Pipeline;
const MONEY =
  `select order_date::text, currency, channel, count(distinct order_id)::int as orders, sum(amount)::text as amount
  from mart.fct_attribution join mart.fct_orders using (order_id, order_date) where model = $1 group by 1, 2, 3 order by 1, 2, 3`.replace(
    "sum(amount)",
    "sum(fct_attribution.amount)",
  );

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-erasure-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  pipeline = await openPipeline(directory);
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

async function erase(emails: string[]): Promise<ErasureReport & { requestId: string }> {
  const requestId = await ask(emails);
  const report = (await pipeline.client.workflow.execute(
    "eraseSubject",
    workflowOf(requestId, "test"),
  )) as ErasureReport;
  return { ...report, requestId };
}

const workflowOf = (requestId: string, approvedBy: string | null) => ({
  workflowId: erasureWorkflowId(requestId),
  taskQueue: TASK_QUEUE,
  args: [{ requestId, actor: "test", approvedBy }],
});

async function ask(emails: string[]): Promise<string> {
  return await receiveRequest(pipeline.pool, pipeline.vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: null,
    notBefore: null,
    identifiers: readSubject(await pipeline.project(), { emails, phones: [], ids: [] }),
    actor: "test",
  });
}

const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await pipeline.pool.query(sql, values)).rows;
const money = (): Promise<unknown[][]> =>
  Promise.all(["first", "last", "linear", "time_decay"].map((model) => rowsOf(MONEY, [model])));

test("a person is erased everywhere, the money stays, others keep what is theirs, and a full sync brings nothing back", async () => {
  const before = await money();
  const tokens = (await rowsOf(
    "select token from core.identifiers as i where i.customer_id = (select customer_id from core.identifiers where token = $1)",
    [pipeline.vault.naming.token("email", CANARY.email)],
  )) as { token: string }[];
  expect(tokens).toHaveLength(4);
  const control = () =>
    rowsOf(
      `select (select count(*)::int from mart.fct_orders where customer_id = i.customer_id) as orders,
         (select count(*)::int from mart.fct_events where customer_id = i.customer_id) as events,
         (select count(*)::int from core.identifiers as all_of where all_of.customer_id = i.customer_id) as identifiers
       from core.identifiers as i where token = $1`,
      [pipeline.vault.naming.token("email", CONTROL.email)],
    );
  const controlBefore = await control();

  const report = await erase([CANARY.email]);

  const {
    rows: [asked],
  } = await pipeline.pool.query("select outcome from privacy.requests");
  expect(asked.outcome).toMatchObject({ findings: [], unscanned: [] });
  expect(report).toMatchObject({ state: "completed", receipt: 1 });
  expect(report.plan.relations).toEqual(
    expect.arrayContaining([
      { relation: "raw.shop__customers", action: "delete", rows: 1 },
      { relation: "raw.shop__orders", action: "strip", rows: 2 },
      { relation: "raw.shop__lines", action: "strip", rows: 2 },
      { relation: "raw.shop__events", action: "delete", rows: 2 },
      { relation: "raw.shop__reviews", action: "delete", rows: 1 },
      { relation: "vault.identifiers", action: "delete", rows: 4 },
      { relation: "mart.dim_customers", action: "follow", rows: 1 },
    ]),
  );
  expect(await money()).toEqual(before);
  expect(await control()).toEqual(controlBefore);
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, report.requestId));
  expect(receipt?.statement).toMatchObject({ outcome: "completed", verification: { findings: [], unscanned: [] } });

  const left = async () => {
    const hexes = tokens.map(({ token }) => token.slice(token.lastIndexOf("_") + 1));
    const { rows } = await pipeline.pool.query<{ relation: string }>(
      "select format('%I.%I', schemaname, tablename) as relation from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
    );
    const found: string[] = [];
    for (const { relation } of rows) {
      const { rowCount } = await pipeline.pool.query(`select from ${relation} as t where t::text ~ $1 limit 1`, [
        [...hexes, "canary", "Zzyzx", "15199990001"].join("|"),
      ]);
      if (rowCount) found.push(relation);
    }
    return found;
  };
  expect(await left()).toEqual([]);

  // Everything is delivered again, in other spellings and by another way too.
  const rows = shopRows();
  rows["events"]?.push({
    id: 900,
    device: CANARY.device,
    email: null,
    url: "https://shop.test/",
    at: "2026-02-20T09:00:00Z",
  });
  rows["customers"]?.push({
    id: 901,
    email: ` ${CANARY.email.toUpperCase()} `,
    phone: null,
    name: "Zzyzx",
    country: "DE",
  });
  rows["orders"]?.push({
    id: 902,
    customer: null,
    email: CANARY.email,
    gift_note: "Zzyzx",
    amount: 1,
    ordered_at: "2026-03-01T12:00:00Z",
  });
  await writeRows(directory, rows);
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(await left()).toEqual([]);
  const again = await money();
  expect(again.map((each) => each.filter((row) => (row as { order_date: string }).order_date < "2026-03-01"))).toEqual(
    before,
  );
  expect(
    await rowsOf(
      "select customer_id = ops.nobody() as is_nobodys, order_number from mart.fct_orders where order_date = '2026-03-01'",
    ),
  ).toEqual([{ is_nobodys: true, order_number: null }]);
  expect(await control()).toEqual(controlBefore);
});

test("a copy that nothing reaches is an error in the plan with the mend, and a table that points at people is swept", async () => {
  const email = "c105@crowd.test";
  const token = pipeline.vault.naming.token("email", email);
  await pipeline.pool.query(`
    create schema marketing;
    create table marketing.letters as select token, 'hello' as text from core.identifiers where token = '${token}';
    create table marketing.notes (customer_id uuid references core.people, note text);
    insert into marketing.notes select customer_id, 'vip' from core.identifiers where token = '${token}';
    grant usage on schema marketing to privacy;
    grant select, delete on all tables in schema marketing to privacy`);
  await expect(erase([email])).rejects.toMatchObject({
    cause: { message: expect.stringMatching(/marketing\.letters holds 1 row .* drop it, make it a model/) },
  });
  await pipeline.pool.query("drop table marketing.letters");
  const report = await erase([email]);
  expect(report.plan.relations).toContainEqual({ relation: "marketing.notes", action: "delete", rows: 1 });
  expect(await rowsOf("select * from marketing.notes")).toEqual([]);
  expect(report.state).toBe("completed");
});

test("who was handed something of the person stands in the receipt, which then is no clean one", async () => {
  const email = "c112@crowd.test";
  await rowsOf(
    `insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, state)
     select gen_random_uuid(), customer_id, r.recipient, 'champions', 'marketing', r.state from core.identifiers,
       (values ('newsletter', 'done'), ('newsletter', 'unknown'), ('partner', 'withheld')) as r (recipient, state)
     where token = $1`,
    [pipeline.vault.naming.token("email", email)],
  );
  const report = await erase([email]);
  expect(report).toMatchObject({ state: "completed_with_exceptions", recipients: ["newsletter"] });
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, report.requestId));
  expect(receipt?.statement).toMatchObject({
    outcome: "completed_with_exceptions",
    recipients: [{ recipient: "newsletter", status: "manual" }],
  });
  expect(await rowsOf("select from privacy.recipients")).toEqual([]);
});

test("a request that is taken back changes nothing, and forgets whom it was about", async () => {
  const requestId = await ask([CONTROL.email]);
  const before = await rowsOf("select count(*) from raw.shop__events");
  const handle = await pipeline.client.workflow.start("eraseSubject", workflowOf(requestId, null));
  await handle.signal("cancel", "os:anna");
  expect(await handle.result()).toMatchObject({ state: "cancelled", receipt: null });
  expect(await rowsOf("select sealed, scope from privacy.requests where request_id = $1", [requestId])).toEqual([
    { sealed: null, scope: null },
  ]);
  expect(await rowsOf("select count(*) from raw.shop__events")).toEqual(before);
});

test("people who ask at the same time are erased together, each with a receipt", async () => {
  const reports = await Promise.all([
    erase(["c110@crowd.test"]),
    erase(["c111@crowd.test"]),
    erase(["nobody@known.test"]),
  ]);
  expect(reports.map(({ state }) => state)).toEqual(["completed", "completed", "completed"]);
  expect(new Set(reports.map(({ receipt }) => receipt)).size).toBe(3);
  verifyReceipts(await readReceipts(pipeline.pool, null));
});
