import type pg from "pg";
import { TASK_QUEUE } from "../domain/ids.ts";
import type { ErasureReport, RequestReport } from "../domain/requests.ts";
import { takeIn, type Intake } from "../warehouse/requests/intake.ts";
import type { Pipeline } from "./pipeline.ts";

/** Has a request carried out that somebody enters by a command about a person of the EU. */
export async function request<T = RequestReport>(
  pipeline: Pipeline,
  email: string,
  asked: Pick<Intake, "kind" | "terms" | "values">,
): Promise<T & { requestId: string; passphrase: string | null }> {
  const { requestId, workflow, passphrase } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    ...asked,
    channel: "cli",
    jurisdiction: "EU",
    named: { emails: [email], phones: [], ids: [] },
    actor: "test",
  });
  const report = (await pipeline.client.workflow.execute(workflow.type, {
    workflowId: workflow.workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  })) as T;
  return { ...report, requestId, passphrase };
}

/** Erases a person. */
export async function erase(pipeline: Pipeline, email: string): Promise<ErasureReport & { requestId: string }> {
  return await request<ErasureReport>(pipeline, email, { kind: "erasure" });
}

/** Tables in which something stands that a pattern matches. */
export async function holding(pool: pg.Pool, pattern: string): Promise<string[]> {
  const { rows } = await pool.query<{ relation: string }>(
    "select format('%I.%I', schemaname, tablename) as relation from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  );
  const found: string[] = [];
  for (const { relation } of rows) {
    const { rowCount } = await pool.query(`select from ${relation} as t where t::text ~ $1 limit 1`, [pattern]);
    if (rowCount) found.push(relation);
  }
  return found;
}
