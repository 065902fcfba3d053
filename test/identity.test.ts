import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BUILD_WORKFLOW_ID, DECIDE_RULES_SIGNAL, IDENTITY_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import { verifyAudit } from "../warehouse/audit.ts";
import { inTransaction } from "../warehouse/database.ts";
import { readCustomerGraph } from "../warehouse/identity/customer-graph.ts";
import { areDecisionsBuilt, decideMerge, decideSplit } from "../warehouse/identity/decide.ts";
import { explainCustomer, findCustomer, readConflicts } from "../warehouse/identity/explain.ts";
import { planIdentity } from "../warehouse/identity/plan.ts";
import { readHeldRules, requestApproval } from "../warehouse/identity/rules.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

const ACTOR = "os:test";
let directory: string;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-identity-"));
  for (const folder of ["schemas", "data", "sql/models/staging"])
    await mkdir(join(directory, folder), { recursive: true });
  const write = (file: string, text: string) => writeFile(join(directory, file), text);
  await write(
    "miette.yaml",
    `name: who
currency: EUR
time_zone: UTC
sources:
  shop:
    connector: csv
    config: { path: data/customers.csv }
    streams:
      customers: { mode: upsert, key: [id], schema: schemas/customers.yaml }
      orders: { mode: upsert, key: [id], schema: schemas/orders.yaml, config: { path: data/orders.csv } }
identity:
  identifiers:
    - { kind: customer_id, limit: 1 }
    - { kind: email, limit: 5 }
`,
  );
  await write(
    "schemas/customers.yaml",
    `type: object
required: [id]
properties:
  id: { type: string, personal: account_id, identifier: customer_id }
  email: { type: [string, "null"], personal: email, identifier: email }
  country: { type: [string, "null"] }
`,
  );
  await write(
    "schemas/orders.yaml",
    `type: object
required: [id, customer, amount, at]
properties:
  id: { type: string }
  customer: { type: [string, "null"], personal: account_id, identifier: customer_id }
  email: { type: [string, "null"], personal: email, identifier: email }
  amount: { type: number, decimal: [12, 2] }
  at: { type: string, format: date-time }
`,
  );
  await write(
    "sql/models/staging/shop__customers.sql",
    `-- One row per customer.
-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, country,
  null::integer as birth_year, '2026-01-01T00:00:00Z'::timestamptz as registered_at
from raw.shop__customers
`,
  );
  await write(
    "sql/models/staging/shop__orders.sql",
    `-- One row per order.
-- contract: orders
select record_key, deleted_at, id as order_number, customer as customer_ref, email as email_token, at as ordered_at,
  null::timestamptz as delivered_at, amount, 'EUR' as currency
from raw.shop__orders
`,
  );
  await write(
    "data/customers.csv",
    "id,email,country\n1,anna@mail.example,FR\n2,ben@mail.example,DE\n3,anna@mail.example,FR\n",
  );
  await write(
    "data/orders.csv",
    `id,customer,email,amount,at
A,1,,10.00,2026-02-01T10:00:00Z
B,2,,20.00,2026-02-02T10:00:00Z
C,,anna@mail.example,30.00,2026-02-03T10:00:00Z
D,2,home@mail.example,40.00,2026-02-04T10:00:00Z
`,
  );
  pipeline = await openPipeline(directory);
  await pipeline.run();
}, 120_000);
afterAll(async () => {
  await pipeline?.close();
  await rm(directory, { recursive: true, force: true });
});

test("a merge by hand moves orders, metrics, history and segments; its split gives every row back, ids included", async () => {
  const before = await mart();
  const [anna, ben] = [await customerOf("A"), await customerOf("B")];
  expect(anna).not.toBe(ben);

  await decideMerge(pipeline.pool, [anna, ben], ACTOR, "they called");
  expect(await areDecisionsBuilt(pipeline.pool)).toBe(false);
  await pipeline.build();
  expect(await areDecisionsBuilt(pipeline.pool)).toBe(true);
  const older = await customerOf("A");
  expect([anna, ben]).toContain(older);
  expect(await customerOf("B")).toBe(older);
  const { rows: metrics } = await pipeline.pool.query(
    `select m.frequency = count(*) and m.monetary = sum(o.amount) and count(*) >= 3 as adds_up
     from mart.customer_metrics as m join mart.fct_orders as o using (customer_id)
     where m.customer_id = $1 group by m.frequency, m.monetary`,
    [older],
  );
  expect(metrics).toEqual([{ adds_up: true }]);
  const former = older === anna ? ben : anna;
  expect((await findCustomer(pipeline.pool, former)).customerId).toBe(older);
  const { rows: waiting } = await pipeline.pool.query(
    "select former_customer_id as id from mart.merged_customer_history",
  );
  expect(waiting).toEqual([{ id: former }]);
  const { links } = await explainCustomer(pipeline.pool, await rules(), older, null);
  expect(links.filter(({ recordKey }) => recordKey === null)).toHaveLength(1);

  const [byHand] = links.filter(({ recordKey }) => recordKey === null);
  await decideSplit(pipeline.pool, await rules(), [byHand!.strongerToken, byHand!.weakerToken], ACTOR);
  await pipeline.build();
  expect(await mart()).toEqual(before);

  const verdict = await inTransaction(pipeline.pool, (client) => verifyAudit(client));
  expect(verdict).toMatchObject({ firstBad: null });
  const { rows: lines } = await pipeline.pool.query(
    "select action, actor, purpose from privacy.audit where action like 'identity%' order by happened_at",
  );
  expect(lines).toEqual([
    { action: "identity.merge", actor: ACTOR, purpose: "they called" },
    { action: "identity.merge", actor: ACTOR, purpose: "they called" },
    { action: "identity.split", actor: ACTOR, purpose: null },
  ]);
}, 120_000);

test("a split holds in a full rebuild, and the chain of a customer is told link by link", async () => {
  const ben = await customerOf("D");
  const graph = (await readCustomerGraph(pipeline.pool, await rules(), ben))!;
  expect(graph.identifiers.map(({ kind, sources }) => [kind, sources])).toEqual([
    ["customer_id", ["shop"]],
    ["email", ["shop"]],
    ["email", ["shop"]],
  ]);
  const mails = graph.identifiers.filter(({ kind }) => kind === "email").map(({ token }) => token);
  const { links } = await explainCustomer(pipeline.pool, await rules(), ben, [mails[0]!, mails[1]!]);
  expect(links).toHaveLength(2);

  const { rows } = await pipeline.pool.query<{ token: string }>(
    "select email as token from raw.shop__orders where id = 'D'",
  );
  const id = graph.identifiers[0]!.token;
  await decideSplit(pipeline.pool, await rules(), [id, rows[0]!.token], ACTOR);
  await pipeline.build();
  const split = await mart();
  await pipeline.build({ full: true });
  expect(await mart()).toEqual(split);
  const { conflicts } = await readConflicts(pipeline.pool, 10);
  expect(conflicts.map(({ reason }) => reason).toSorted()).toEqual(["limit", "split"]);
  await decideMerge(pipeline.pool, [id, rows[0]!.token], ACTOR);
  await pipeline.build();
  expect((await readConflicts(pipeline.pool, 10)).conflicts.map(({ reason }) => reason)).toEqual(["limit"]);
}, 120_000);

test("changed rules are shown before they move anybody, and wait for an approval", async () => {
  const file = join(directory, "miette.yaml");
  const before = await readFile(file, "utf8");
  await writeFile(file, before.replace("{ kind: customer_id, limit: 1 }", "{ kind: customer_id, limit: 2 }"));
  const published = await mart();
  const plan = await planIdentity(pipeline.pool, await rules(), []);
  expect(plan).toMatchObject({
    peopleBefore: 3,
    peopleAfter: 2,
    merges: 1,
    splits: 0,
    conflictsBefore: 1,
    conflictsAfter: 0,
  });
  expect(plan.recordsMoved).toBeGreaterThan(0);
  expect(plan.moves.reduce((sum, { orders }) => sum + orders, 0)).toBe(plan.ordersMoved);
  // What moves is the orders of those who would not keep their id.
  const { rows: moved } = await pipeline.pool.query(
    "select sum(amount)::text as revenue from mart.fct_orders where customer_id = any($1)",
    [plan.moves.map(({ from }) => from)],
  );
  expect(plan.revenueMoved).toBe(moved[0].revenue ?? "0");

  const apply = async (isApproved: boolean) => {
    const handle = await pipeline.client.workflow.start("applyIdentity", {
      workflowId: IDENTITY_WORKFLOW_ID,
      taskQueue: TASK_QUEUE,
      args: [{ actor: ACTOR }],
    });
    await expect
      .poll(
        async () => (await pipeline.pool.query("select from ops.identity_plans where status = 'waiting'")).rowCount,
        {
          timeout: 30_000,
        },
      )
      .toBe(1);
    await pipeline.build();
    expect(await mart()).toEqual(published);
    expect(await readHeldRules(pipeline.pool, await rules())).toMatchObject({ status: "waiting", requestedBy: ACTOR });
    await handle.signal(DECIDE_RULES_SIGNAL, { isApproved, actor: ACTOR });
    expect(await handle.result()).toMatchObject({ isApproved });
  };
  await apply(false);
  await pipeline.build();
  expect(await readHeldRules(pipeline.pool, await rules())).toMatchObject({ status: "refused" });
  expect(await mart()).toEqual(published);
  await apply(true);
  expect(await readHeldRules(pipeline.pool, await rules())).toBeNull();
  await pipeline.client.workflow.getHandle(BUILD_WORKFLOW_ID).result();
  expect((await readConflicts(pipeline.pool, 10)).conflicts).toEqual([]);
  const { rows } = await pipeline.pool.query("select from core.people where anchor_token is not null");
  expect(rows).toHaveLength(2);
  await expect(requestApproval(pipeline.pool, await rules(), [], ACTOR)).rejects.toThrow("in force already");
}, 120_000);

test("what can't be decided is told in one sentence and changes nothing", async () => {
  const [anna, ben] = [await customerOf("A"), await customerOf("B")];
  const { anchorToken } = await findCustomer(pipeline.pool, anna);
  const { anchorToken: other } = await findCustomer(pipeline.pool, ben);
  const count = async () => (await pipeline.pool.query("select from ops.identity_decisions")).rowCount;
  const decisions = await count();
  const nobody = "11111111-1111-4111-8111-111111111111";
  await expect(decideSplit(pipeline.pool, await rules(), [anchorToken, other], ACTOR)).rejects.toThrow(
    "there is no link between",
  );
  await expect(decideSplit(pipeline.pool, await rules(), [anchorToken, anchorToken], ACTOR)).rejects.toThrow(
    "there is no link",
  );
  await expect(decideMerge(pipeline.pool, [anna, anna], ACTOR)).rejects.toThrow("one customer already");
  await expect(decideMerge(pipeline.pool, [anna, "email_unknown"], ACTOR)).rejects.toThrow("no record carries");
  await expect(decideMerge(pipeline.pool, [anna, nobody], ACTOR)).rejects.toThrow(`there is no customer ${nobody}`);
  await expect(explainCustomer(pipeline.pool, await rules(), "anna", null)).rejects.toThrow(
    "there is no customer anna",
  );
  await expect(explainCustomer(pipeline.pool, await rules(), anna, [anchorToken, other])).rejects.toThrow(
    "is no identifier of customer",
  );
  expect(await count()).toBe(decisions);
});

async function rules() {
  return (await pipeline.project()).identity;
}

async function customerOf(orderNumber: string): Promise<string> {
  const { rows } = await pipeline.pool.query<{ id: string }>(
    "select customer_id as id from mart.fct_orders where order_number = $1",
    [orderNumber],
  );
  return rows[0]!.id;
}

/** Everything of the mart that says whose something is. */
async function mart(): Promise<Record<string, unknown[]>> {
  const tables = ["fct_orders", "dim_customers", "dim_customer_history", "merged_customer_history", "customer_metrics"];
  const result: Record<string, unknown[]> = {};
  for (const table of tables) {
    const { rows } = await pipeline.pool.query(`select to_jsonb(t) as row from mart.${table} as t`);
    result[table] = rows.map(({ row }) => JSON.stringify(row)).toSorted();
  }
  return result;
}
