import type pg from "pg";
import { inTransaction } from "../database.ts";
import { keepRestrictedCredit } from "../erasure/kept-credit.ts";
import { holdErased } from "../erasure/sweep-raw.ts";
import { quoteRelation } from "../models/build.ts";
import { recordChange } from "../relation-state.ts";

/**
 * Brings `ops.use_limits` up to date with the ledger, before a build that is to follow it: what was said, lifted, or has
 * ended since. Whoever is newly restricted has set aside what only the mart remembers of them, and gets it back once the
 * restriction is lifted. No two builds run at once, so nothing is published between this and the models.
 * @param remembered relations of the mart that a build can't compute anew, by their names; rows are by `customer_id`
 */
export async function refreshUseLimits(pool: pg.Pool, remembered: readonly string[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    if (!(await takeOver(client))) return;
    await recordChange(client, "ops.use_limits");
    const { added, released } = await compareRestricted(client);
    if (added.length > 0) await setAside(client, added, remembered);
    if (released.length > 0) await bringBack(client, released);
  });
}

/**
 * Looks anew at the identifiers of which something was said, renamed or taken away since, and at those whose latest word
 * has ended; what everybody else has said stands as it was told.
 * @returns whether anything has changed
 */
async function takeOver(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ changed: boolean }>(
    `with taken as (
       delete from ops.use_limit_words returning event_id
     ),
     due as materialized (
       select who.token from taken join privacy.consent_identifiers as who on who.event_id = taken.event_id
       union
       select token from ops.use_limits where is_stale
       union
       select token from ops.use_limits where ends_at <= now()
     ),
     latest as materialized (
       select distinct on (who.token, event.choice, event.purpose) who.token, event.choice, event.purpose,
         least(event.occurred_at, event.recorded_at) as said_at,
         event.is_given and coalesce(event.expires_at > now(), true) as holds,
         case when event.is_given and event.expires_at > now() then event.expires_at end as ends_at
       from due join privacy.consent_identifiers as who on who.token = due.token
       join privacy.consent_events as event on event.event_id = who.event_id
       where event.choice <> 'consent'
       order by who.token, event.choice, event.purpose, least(event.occurred_at, event.recorded_at) desc,
         event.is_given desc, event.event_id desc
     ),
     gone as (
       delete from ops.use_limits as l using due
       where l.token = due.token
         and not exists (select from latest where (latest.token, latest.choice, latest.purpose) = (l.token, l.choice, l.purpose))
       returning 1
     ),
     came as (
       insert into ops.use_limits as l (token, choice, purpose, said_at, holds, ends_at)
       select token, choice, purpose, said_at, holds, ends_at from latest
       on conflict (token, choice, purpose) do update
         set said_at = excluded.said_at, holds = excluded.holds, ends_at = excluded.ends_at, is_stale = false
       where (l.said_at, l.holds, l.ends_at, l.is_stale) is distinct from (excluded.said_at, excluded.holds, excluded.ends_at, false)
       returning (old.said_at, old.holds) is distinct from (new.said_at, new.holds) as is_other
     )
     select exists (select from gone) or exists (select from came where is_other) as changed`,
  );
  return rows[0]?.changed ?? false;
}

/** Who is restricted now and was not, and the other way round, by the identifiers as they were published. */
async function compareRestricted(client: pg.ClientBase): Promise<{ added: string[]; released: string[] }> {
  const { rows: built } = await client.query<{ is_built: boolean }>(
    "select to_regclass('core.identifiers') is not null as is_built",
  );
  if (!built[0]?.is_built) return { added: [], released: [] };
  const { rows } = await client.query<{ customer_id: string; is_restricted: boolean }>(
    `with said as (
       select distinct on (i.customer_id) i.customer_id, l.holds
       from ops.use_limits as l join core.identifiers as i on i.token = l.token
       where l.choice = 'restriction' and l.purpose = '*' and i.customer_id <> ops.nobody() and not i.is_shared and not i.is_blocked
       order by i.customer_id, l.said_at desc, l.holds desc
     ),
     now_restricted as (select customer_id from said where holds)
     select coalesce(n.customer_id, r.customer_id) as customer_id, n.customer_id is not null as is_restricted
     from now_restricted as n full join ops.restricted_people as r on r.customer_id = n.customer_id
     where n.customer_id is null or r.customer_id is null`,
  );
  const ids = (isRestricted: boolean): string[] =>
    rows.filter((row) => row.is_restricted === isRestricted).map((row) => row.customer_id);
  return { added: ids(true), released: ids(false) };
}

async function setAside(client: pg.ClientBase, people: string[], remembered: readonly string[]): Promise<void> {
  await client.query("insert into ops.restricted_people (customer_id) select unnest($1::uuid[])", [people]);
  // The orders lose their person, and keep the credit of their channels, as after an erasure.
  await holdErased(client, [{ tokens: [], customers: people }]);
  await keepRestrictedCredit(client);
  for (const relation of remembered) {
    const { rows } = await client.query<{ has: boolean }>(
      `select exists (select from pg_attribute where attrelid = to_regclass($1) and attname = 'customer_id' and not attisdropped) as has`,
      [relation],
    );
    if (!rows[0]?.has) continue;
    await client.query(
      `insert into ops.set_aside (customer_id, relation, content)
       select t.customer_id, $2, to_jsonb(t) from ${quoteRelation(relation)} as t where t.customer_id = any($1::uuid[])`,
      [people, relation],
    );
  }
}

async function bringBack(client: pg.ClientBase, people: string[]): Promise<void> {
  const { rows } = await client.query<{ relation: string }>(
    "select distinct relation from ops.set_aside where customer_id = any($1::uuid[]) and to_regclass(relation) is not null",
    [people],
  );
  for (const { relation } of rows) {
    const name = quoteRelation(relation);
    await client.query(
      `insert into ${name}
       select row.* from ops.set_aside as s cross join lateral jsonb_populate_record(null::${name}, s.content) as row
       where s.relation = $2 and s.customer_id = any($1::uuid[])
         and exists (select from core.people as p where p.customer_id = s.customer_id)
         and not exists (select from ${name} as t where t.customer_id = s.customer_id)`,
      [people, relation],
    );
    await recordChange(client, relation);
  }
  await client.query("delete from ops.set_aside where customer_id = any($1::uuid[])", [people]);
  await client.query(
    `delete from ops.kept_credit where until_lifted and order_id in (
       select record_key from core.record_owners where customer_id = any($1::uuid[]))`,
    [people],
  );
  await recordChange(client, "ops.kept_credit");
  await client.query("delete from ops.restricted_people where customer_id = any($1::uuid[])", [people]);
}
