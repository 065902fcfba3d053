import type { ClientBase, Pool } from "pg";
import type { IdentityRules } from "../../domain/project.ts";
import type { IdentityPlan } from "../../domain/runs.ts";
import { partition } from "../../identity/partition.ts";
import { recognisePeople } from "../../identity/people.ts";
import type { BlockedIdentifier } from "../blocked.ts";
import { quoteName } from "../database.ts";
import { quoteRelation } from "../models/build.ts";
import { readContracts } from "./contracts.ts";
import { readDecisions, readFormerPeople, readRecords } from "./read.ts";
import { addOwnersByReference } from "./references.ts";
import { writeTables } from "./write.ts";

const MOST_MOVES = 20;

/**
 * Says what other rules would do to the people that are published, and changes nothing: who is who is computed in a
 * shadow, inside of a transaction that is rolled back.
 * @param blocked the identifiers that the rules block
 */
export async function planIdentity(
  pool: Pool,
  rules: IdentityRules,
  blocked: readonly BlockedIdentifier[],
): Promise<IdentityPlan> {
  const client = await pool.connect();
  try {
    await client.query("begin isolation level repeatable read; set local jit = off; set local work_mem = '64MB'");
    await computeShadow(client, rules, blocked);
    return await compareShadow(client);
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}

const shadow = (table: string) => quoteName("build_core", `shadow_${table}`);

async function computeShadow(
  client: ClientBase,
  rules: IdentityRules,
  blockedIdentifiers: readonly BlockedIdentifier[],
): Promise<void> {
  const context = {
    client,
    rules,
    input: quoteRelation,
    output: (relation: string) => shadow(relation.split(".")[1]!),
    published: quoteRelation,
  };
  const contracts = await readContracts(context);
  const records = await readRecords(context, contracts);
  const blocked = new Uint8Array(records.kindOf.length);
  for (const { token } of blockedIdentifiers) {
    const identifier = records.find(Buffer.from(token));
    if (identifier !== -1) blocked[identifier] = 1;
  }
  const decisions = await readDecisions(context, records);
  const result = partition({ ...records, ...decisions, rules: rules.identifiers, blocked });
  const former = await readFormerPeople(context, records, result.person);
  const people = recognisePeople(result.person, former);
  await writeTables(context, { rules, records, blocked, result, people, former, isPart: false });
  await addOwnersByReference(context, contracts);
}

async function compareShadow(client: ClientBase): Promise<IdentityPlan> {
  const tables = ["people", "merged_people", "identifiers", "record_owners", "identity_conflicts"];
  await client.query(`analyze ${tables.map(shadow).join(", ")}`);
  const { rows: counts } = await client.query<Omit<IdentityPlan, "moves" | "currency">>(
    `select
       (select count(*) - 1 from core.people)::float8 as "peopleBefore",
       (select count(*) - 1 from ${shadow("people")})::float8 as "peopleAfter",
       (select count(*) from core.people as p join ${shadow("merged_people")} as m on m.former_customer_id = p.customer_id)::float8
         as merges,
       (select count(*) from ${shadow("people")} as p
         where not exists (select from core.people as b where b.customer_id = p.customer_id))::float8 as splits,
       (select count(*) from core.identity_conflicts)::float8 as "conflictsBefore",
       (select count(*) from ${shadow("identity_conflicts")})::float8 as "conflictsAfter",
       (select count(*) from core.identifiers where is_shared or is_blocked)::float8 as "hiddenBefore",
       (select count(*) from ${shadow("identifiers")} where is_shared or is_blocked)::float8 as "hiddenAfter",
       (select count(*) from core.record_owners as b full join ${shadow("record_owners")} as a using (record_key)
         where a.customer_id is distinct from b.customer_id)::float8 as "recordsMoved",
       moved.orders::float8 as "ordersMoved", coalesce(moved.revenue, 0)::text as "revenueMoved"
     from (select count(*) as orders, sum(amount) as revenue from (${MOVED_ORDERS}) as m) as moved`,
  );
  const { rows: moves } = await client.query<IdentityPlan["moves"][number]>(
    `select nullif(m.before, ops.nobody()) as "from", nullif(m.after, ops.nobody()) as "to",
       exists (select from core.people as p where p.customer_id = m.after) as "isKnown",
       count(*)::float8 as orders, coalesce(sum(amount), 0)::text as revenue
     from (${MOVED_ORDERS}) as m group by m.before, m.after order by sum(amount) desc nulls last, 1, 2 limit ${MOST_MOVES}`,
  );
  const { rows: settings } = await client.query<{ currency: string }>("select currency from ops.settings");
  return { ...counts[0]!, currency: settings[0]!.currency, moves };
}

const MOVED_ORDERS = `select o.customer_id as before, coalesce(a.customer_id, ops.nobody()) as after, o.amount
  from mart.fct_orders as o left join ${shadow("record_owners")} as a on a.record_key = o.order_id
  where o.customer_id <> coalesce(a.customer_id, ops.nobody())`;
