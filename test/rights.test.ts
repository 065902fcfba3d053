import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TASK_QUEUE } from "../domain/ids.ts";
import type { RequestKind, RequestReport, RequestTerms } from "../domain/requests.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

let directory: string;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-rights-"));
  await writeErasureProject(directory);
  await mkdir(join(directory, "sql/segments"), { recursive: true });
  const everybody = "select customers.customer_id from mart.dim_customers as customers";
  await writeFile(
    join(directory, "sql/segments/newsletter.sql"),
    `-- Who may get the newsletter.\n-- consent: marketing\n${everybody}\n`,
  );
  await writeFile(join(directory, "sql/segments/everybody.sql"), `-- For analysis.\n${everybody}\n`);
  await writeFile(
    join(directory, "sql/segments/patients.sql"),
    `-- Told by what is sensitive.\n-- purpose: care\n${everybody}\n`,
  );
  await writeRows(directory, shopRows());
  pipeline = await openPipeline(directory);
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

const rowsOf = async <T = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<T[]> =>
  (await pipeline.pool.query(sql, values)).rows as T[];

async function ask(
  kind: RequestKind,
  email: string,
  terms: RequestTerms = {},
): Promise<RequestReport & { requestId: string }> {
  const { requestId, workflow } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind,
    channel: "api",
    jurisdiction: "EU",
    named: { emails: [email], phones: [], ids: [] },
    terms,
    actor: "test",
  });
  const report = (await pipeline.client.workflow.execute(workflow.type, {
    workflowId: workflow.workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  })) as RequestReport;
  return { ...report, requestId };
}

const customerOf = async (email: string): Promise<string> =>
  (
    await rowsOf<{ id: string }>("select customer_id as id from core.identifiers where token = $1", [
      pipeline.vault.naming.token("email", email),
    ])
  )[0]?.id as string;

const segmentsOf = async (customer: string): Promise<string[]> =>
  (
    await rowsOf<{ segment: string }>(
      `select segment from mart.fct_segment_memberships where customer_id = $1 and upper_inf(valid)
         and segment in ('newsletter', 'everybody', 'patients') order by segment`,
      [customer],
    )
  ).map(({ segment }) => segment);

test("who objects, opts out or limits leaves at once the segments that are for it, and comes back when it is lifted", async () => {
  const email = "c101@crowd.test";
  const customer = await customerOf(email);
  expect(await segmentsOf(customer)).toEqual(["everybody", "newsletter", "patients"]);

  const objection = await ask("objection", email, { purposes: ["marketing"] });
  expect(objection.state).toBe("completed");
  expect(await segmentsOf(customer)).toEqual(["everybody", "patients"]);
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, objection.requestId));
  expect(receipt?.statement).toMatchObject({ kind: "objection", purposes: ["marketing"], outcome: "completed" });
  expect(
    await rowsOf("select sealed, scope from privacy.requests where request_id = $1", [objection.requestId]),
  ).toEqual([{ sealed: null, scope: null }]);

  await ask("limit", email);
  expect(await segmentsOf(customer)).toEqual(["everybody"]);
  await ask("objection", email);
  expect(await segmentsOf(customer)).toEqual([]);
  // What is lifted for all stays forbidden nowhere, what is lifted for one purpose everywhere else.
  await ask("limit", email, { isLifted: true });
  await ask("objection", email, { isLifted: true, purposes: ["marketing"] });
  expect(await segmentsOf(customer)).toEqual(["newsletter"]);
  await ask("objection", email, { isLifted: true });
  await ask("opt_out", email);
  expect(await segmentsOf(customer)).toEqual(["everybody", "patients"]);
  expect((await segmentsOf(await customerOf("c102@crowd.test"))).length).toBe(3);
});

test("who is restricted is in no table of the mart while raw stays, money and credit with it, and a release brings all back", async () => {
  const customer = await customerOf(CANARY.email);
  const tables = (
    await rowsOf<{ relation: string }>(
      `select c.oid::regclass::text as relation from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'customer_id'
       where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'v') order by 1`,
    )
  ).map(({ relation }) => relation);
  const held = async () => {
    const counts: Record<string, number> = {};
    for (const relation of tables) {
      const [row] = await rowsOf<{ n: number }>(`select count(*)::int as n from ${relation} where customer_id = $1`, [
        customer,
      ]);
      counts[relation] = row?.n ?? 0;
    }
    return counts;
  };
  const money = () =>
    rowsOf(
      `select model, channel, order_date::text, count(distinct order_id)::int as orders, sum(amount)::text as amount
       from mart.fct_attribution group by 1, 2, 3 order by 1, 2, 3`,
    );
  const raw = () => rowsOf("select count(*)::int as n from raw.shop__orders where customer is not null");
  await rowsOf(`update mart.dim_customer_history set valid = tstzrange('2026-01-01', null) where customer_id = $1`, [
    customer,
  ]);
  const [before, moneyBefore, rawBefore] = [await held(), await money(), await raw()];
  expect(before).toMatchObject({ "mart.dim_customers": 1, "mart.fct_orders": 2, "mart.dim_customer_history": 1 });
  const history = () => rowsOf("select valid::text from mart.dim_customer_history where customer_id = $1", [customer]);
  const historyBefore = await history();
  const memberships = () =>
    rowsOf("select segment, lower(valid)::text from mart.fct_segment_memberships where customer_id = $1 order by 1", [
      customer,
    ]);
  const membershipsBefore = await memberships();

  await ask("restriction", CANARY.email);
  expect(Object.values(await held()).every((count) => count === 0)).toBe(true);
  expect(await money()).toEqual(moneyBefore);
  expect(await raw()).toEqual(rawBefore);
  // Neither a sync nor a build shows the person again.
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(Object.values(await held()).every((count) => count === 0)).toBe(true);

  await ask("restriction", CANARY.email, { isLifted: true });
  expect(await held()).toEqual(before);
  expect(await history()).toEqual(historyBefore);
  expect(await memberships()).toEqual(membershipsBefore);
  expect(await money()).toEqual(moneyBefore);
  expect(await rowsOf("select from ops.set_aside union all select from ops.kept_credit")).toEqual([]);
  expect(await customerOf(CONTROL.email)).toBeDefined();
});
