import type { ClientBase, Pool } from "pg";
import { UserError } from "../../domain/errors.ts";
import type { IdentityRules } from "../../domain/project.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import { readCustomerGraph } from "./customer-graph.ts";

const DECISIONS = "ops.identity_decisions";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

interface Named {
  token: string;
  customerId: string;
  isHidden: boolean;
}

/**
 * Decides that two identifiers are one person's, beyond the limits of their kinds if need be. Takes effect with the next
 * build, and outlives every rebuild. Each is named by its token, or by a customer, whose anchor then counts.
 * Throws UserError where it can't be, and changes nothing.
 */
export async function decideMerge(
  pool: Pool,
  pair: readonly [string, string],
  actor: string,
  purpose?: string,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const [a, b] = [await nameOf(client, pair[0]), await nameOf(client, pair[1])];
    for (const { token, isHidden } of [a, b]) {
      if (isHidden)
        throw new UserError(`${token} is shared or blocked, so that it is nobody's; name another identifier.`);
    }
    if (a.customerId === b.customerId) throw new UserError(`${pair[0]} and ${pair[1]} are one customer already.`);
    const { rows } = await client.query<{ token: string; other_token: string }>(
      `select d.token, d.other_token from ${DECISIONS} as d
       join core.identifiers as i on i.token = d.token join core.identifiers as o on o.token = d.other_token
       where d.decision = 'split' and array[i.customer_id, o.customer_id] <@ $1::uuid[] and i.customer_id <> o.customer_id
         and array[d.token, d.other_token] <> $2::text[] limit 1`,
      [[a.customerId, b.customerId], [a.token, b.token].toSorted()],
    );
    if (rows[0]) {
      const { token, other_token } = rows[0];
      throw new UserError(`${token} and ${other_token} were split by hand; merge those two instead, which undoes it.`);
    }
    await decide(client, "merge", a, b, actor, purpose);
  });
}

/**
 * Undoes the link between two identifiers of one customer: from the next build on they are never one person's, whatever
 * else would connect them. A merge by hand is undone likewise.
 * Throws UserError where no link connects them, and changes nothing.
 */
export async function decideSplit(
  pool: Pool,
  rules: IdentityRules,
  pair: readonly [string, string],
  actor: string,
  purpose?: string,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const [a, b] = [await nameOf(client, pair[0]), await nameOf(client, pair[1])];
    const isSame = a.customerId === b.customerId && !a.isHidden && !b.isHidden && a.token !== b.token;
    const graph = isSame ? await readCustomerGraph(pool, rules, a.customerId) : null;
    const isBetween = (link: { strongerToken: string; weakerToken: string }) =>
      [link.strongerToken, link.weakerToken].toSorted().join() === [a.token, b.token].toSorted().join();
    if (!graph?.links.some(isBetween)) {
      throw new UserError(
        `there is no link between ${pair[0]} and ${pair[1]}; "miette identity graph CUSTOMER" lists the links there are.`,
      );
    }
    await decide(client, "split", a, b, actor, purpose);
  });
}

/** Whether the published people were computed with all decisions that were made. */
export async function areDecisionsBuilt(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ isBuilt: boolean }>(
    `select coalesce((select version from ops.relation_state where relation = $1), 0)
       = coalesce((select (input_versions ->> $1)::bigint from ops.relation_state where relation = 'core.people'), 0) as "isBuilt"`,
    [DECISIONS],
  );
  return rows[0]?.isBuilt ?? false;
}

async function decide(
  client: ClientBase,
  decision: "merge" | "split",
  a: Named,
  b: Named,
  actor: string,
  purpose: string | undefined,
): Promise<void> {
  const [token, other] = [a.token, b.token].toSorted();
  await client.query(
    `insert into ${DECISIONS} (token, other_token, decision, decided_by) values ($1, $2, $3, $4)
     on conflict (token, other_token) do update
       set decision = excluded.decision, decided_by = excluded.decided_by, decided_at = now()`,
    [token, other, decision, actor],
  );
  await recordChange(client, DECISIONS);
  for (const { customerId } of a.customerId === b.customerId ? [a] : [a, b]) {
    await recordAudit(client, {
      actor,
      action: `identity.${decision}`,
      subject: { customerId },
      ...(purpose ? { purpose } : {}),
    });
  }
}

/** The identifier that a token or a customer's id names. */
async function nameOf(client: ClientBase, name: string): Promise<Named> {
  const isCustomer = UUID.test(name);
  const { rows } = await client.query<Named>(
    `select i.token, i.customer_id as "customerId", i.is_shared or i.is_blocked as "isHidden"
     from core.identifiers as i ${isCustomer ? "join core.people as p on p.anchor_token = i.token where p.customer_id" : "where i.token"} = $1`,
    [name],
  );
  if (rows[0]) return rows[0];
  throw new UserError(
    isCustomer
      ? `there is no customer ${name}; mart.dim_customers has those there are.`
      : `no record carries the identifier ${name.slice(0, 80)}; write a customer's id, or a token as core.identifiers has it.`,
  );
}
