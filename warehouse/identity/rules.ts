import type { Pool } from "pg";
import { CodedError, UserError } from "../../domain/errors.ts";
import type { IdentityRules } from "../../domain/project.ts";
import type { IdentityPlan } from "../../domain/runs.ts";
import { recordAudit } from "../audit.ts";
import type { BlockedIdentifier } from "../blocked.ts";
import { inTransaction } from "../database.ts";
import { planIdentity } from "./plan.ts";

const NOTE = "identity rules";

/** Rules of the project that builds do not go by: they wait for an approval, or were refused. */
export interface HeldRules {
  status: "waiting" | "refused";
  former: IdentityRules;
  requestedBy: string;
  /** ISO 8601. */
  requestedAt: string;
}

/** Whether these very rules are held back; null where builds go by them. */
export async function readHeldRules(pool: Pool, rules: IdentityRules): Promise<HeldRules | null> {
  const { rows } = await pool.query<Omit<HeldRules, "status"> & { status: string }>(
    `select status, former_rules as former, requested_by as "requestedBy",
       to_char(requested_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "requestedAt"
     from ops.identity_plans where rules = $1::jsonb order by requested_at desc limit 1`,
    [JSON.stringify(rules)],
  );
  const [last] = rows;
  if (!last || last.status === "approved") return null;
  return { ...last, status: last.status === "waiting" ? "waiting" : "refused" };
}

/**
 * The rules that builds go by: the project's, unless somebody has asked to have these very rules approved and nobody
 * has approved them; then those before.
 */
export async function rulesInForce(pool: Pool, rules: IdentityRules): Promise<IdentityRules> {
  return (await readHeldRules(pool, rules))?.former ?? rules;
}

/** Notes the rules that a build goes by, for the plan of a later change. */
export async function noteRules(pool: Pool, rules: IdentityRules): Promise<void> {
  await pool.query(
    `insert into ops.notes (name, value) values ($1, $2)
     on conflict (name) do update set value = excluded.value where notes.value <> excluded.value`,
    [NOTE, JSON.stringify(rules)],
  );
}

/**
 * Computes what the project's rules would change, and holds them back until they are approved.
 * Throws UserError where they are in force already.
 */
export async function requestApproval(
  pool: Pool,
  rules: IdentityRules,
  blocked: readonly BlockedIdentifier[],
  actor: string,
): Promise<{ planId: string; plan: IdentityPlan }> {
  const { rows } = await pool.query<{ former: IdentityRules; isSame: boolean }>(
    'select value::jsonb as former, value::jsonb = $2::jsonb as "isSame" from ops.notes where name = $1',
    [NOTE, JSON.stringify(rules)],
  );
  const noted = rows[0];
  if (!noted) throw new UserError('no build has gone by any identity rules yet; run "miette build" first.');
  if (noted.isSame)
    throw new UserError("the identity rules of miette.yaml are in force already; change them there first.");
  const plan = await planIdentity(pool, rules, blocked);
  return await inTransaction(pool, async (client) => {
    const inserted = await client.query<{ plan_id: string }>(
      `insert into ops.identity_plans (rules, former_rules, plan, requested_by) values ($1, $2, $3, $4) returning plan_id`,
      [JSON.stringify(rules), JSON.stringify(noted.former), JSON.stringify(plan), actor],
    );
    const planId = inserted.rows[0]!.plan_id;
    await recordAudit(client, {
      actor,
      action: "identity.plan",
      detail: { plan: planId, merges: plan.merges, splits: plan.splits },
    });
    return { planId, plan };
  });
}

/** Approves or refuses a plan, once. */
export async function settlePlan(pool: Pool, planId: string, isApproved: boolean, actor: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `update ops.identity_plans set status = $2, decided_by = $3, decided_at = clock_timestamp()
       where plan_id = $1 and status = 'waiting'`,
      [planId, isApproved ? "approved" : "refused", actor],
    );
    if (rowCount) {
      await recordAudit(client, {
        actor,
        action: isApproved ? "identity.approve" : "identity.refuse",
        detail: { plan: planId },
      });
      return;
    }
    const { rows } = await client.query("select from ops.identity_plans where plan_id = $1", [planId]);
    if (!rows.length) throw new CodedError("internal", "the plan is gone.", { retryable: false });
  });
}
