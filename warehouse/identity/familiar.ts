import { quoteName } from "../database.ts";
import type { ChangeContext } from "../models/relation.ts";
import type { ContractColumns } from "./contracts.ts";
import { CONFLICTS, HIDDEN, IDENTIFIERS, MERGED_PEOPLE, PEOPLE, RECORD_OWNERS } from "./tables.ts";
import { DEVICE_KINDS } from "./write.ts";

/** Quoted name of the relation of familiar records, with whose each is. */
export const FAMILIAR = quoteName("build_core", "identity_familiar");
/** Quoted name of the relation of identifiers that familiar records carry for the first time, with what they are tied to. */
export const FRESH = quoteName("build_core", "identity_fresh");
const CARRIED = quoteName("build_core", "identity_carried");

/**
 * Creates `FAMILIAR` and `FRESH`: the new records that need no look at everything else that is known of their people.
 *
 * Their strongest identifier is a known one of one person, as are all others but those that come for the first time, and
 * it was tied to each of the known ones by a record with a smaller key. So what they add is whose they are and, for each
 * new identifier, one link by which it hangs on that person like a leaf: it makes no two people one and is nobody's
 * neighbour but its own. That holds if the person then keeps within every limit, has no refused link, and the new identifier
 * comes with no other strongest one, was no decision's and no former person's. Most new records are of that kind.
 * Rules that look at when an identifier was first seen make every record one that counts.
 */
export async function findFamiliar(context: ChangeContext, contracts: readonly ContractColumns[]): Promise<void> {
  const { client, changes, rules } = context;
  const [owners, hidden, identifiers] = [RECORD_OWNERS, HIDDEN, IDENTIFIERS].map(({ name }) =>
    context.published(name)!,
  ) as [string, string, string];
  await client.query(`create table ${FAMILIAR} (record_key uuid primary key, customer_id uuid);
    create table ${FRESH} (record_key uuid, token text, kind text, stronger_token text, customer_id uuid)`);
  const parts = contracts.flatMap(({ relation, tokens, telling }) => {
    const changed = changes(relation, telling);
    const carried = tokens.map((token) => `(now).${token}`).join(", ");
    return tokens.length && changed
      ? [`select record_key, unnest(array[${carried}]) as token from ${changed} as changed where not (now is null)`]
      : [];
  });
  if (!parts.length || rules.identifiers.some((rule) => rule.window)) return;
  const kinds = rules.identifiers.map((rule) => rule.kind);
  await client.query(`create table ${CARRIED} (record_key uuid, token text, kind text, rank integer, customer_id uuid,
    strongest text, strongest_rank integer, person uuid, is_tied boolean)`);
  await client.query(
    `insert into ${CARRIED}
     select record_key, token, kind, rank, customer_id,
       first_value(token) over own, first_value(rank) over own, first_value(customer_id) over own,
       -- The link between the two is kept with the one that is farther from the person's strongest.
       coalesce(linked_token = first_value(token) over own and linked_record_key < record_key, false)
         or coalesce(first_value(linked_token) over own = token and first_value(linked_record_key) over own < record_key, false)
     from (
       select record_key, token, linked_token, linked_record_key, customer_id,
         -- What stands before the last underscore.
         coalesce(known.kind, left(token, -length(split_part(token, '_', -1)) - 1)) as kind
       -- By token, so that whoever looks each up goes through the index once.
       from (select distinct record_key, token from (${parts.join(" union all ")}) as part where token is not null
         order by token, record_key) as record
       left join ${identifiers} as known using (token)
     ) as carried
     join unnest($1::text[]) with ordinality as listed (kind, rank) using (kind)
     window own as (partition by record_key order by rank, token collate "C" rows unbounded preceding)`,
    [kinds],
  );
  await client.query(`analyze ${CARRIED} (record_key, token, customer_id)`);
  await client.query(
    `insert into ${FAMILIAR}
     select record_key, person
     from (
       select record_key, person
       from ${CARRIED}
       group by record_key, person
       having person <> ops.nobody() and count(customer_id) = count(*) filter (where customer_id = person)
         and count(*) filter (where is_tied) = count(customer_id) - 1
         and not bool_or(token in (select token from ops.blocked_identifiers))
       order by record_key
     ) as candidate
     where not exists (select from ${owners} as owner where owner.record_key = candidate.record_key)
       and not exists (select from ${hidden} as hidden where hidden.record_key = candidate.record_key)`,
  );
  await client.query(`analyze ${FAMILIAR}`);
  await findFresh(context);
  await client.query(`drop table ${CARRIED}; analyze ${FAMILIAR}`);
}

/** Tells leaves from identifiers that may change more, and leaves out the records that carry one of the latter. */
async function findFresh({ client, published, rules }: ChangeContext): Promise<void> {
  const { rowCount } = await client.query(
    `insert into ${FRESH} select record_key, token, kind, strongest, person from ${CARRIED} join ${FAMILIAR} using (record_key)
     where ${CARRIED}.customer_id is null`,
  );
  if (!rowCount) return;
  await client.query(`analyze ${FRESH}`);
  const identifiers = published(IDENTIFIERS.name);
  const limited = rules.identifiers.filter((rule) => rule.limit !== null);
  await client.query(
    `with other (token) as (
       select token from ${CARRIED} as carried left join ${FAMILIAR} as familiar using (record_key)
       where carried.customer_id is null
       group by token
       having min(strongest) <> max(strongest) or bool_or(rank <= strongest_rank or familiar.record_key is null)
       union all select token from ops.identity_decisions
       union all select other_token from ops.identity_decisions
       union all select anchor_token from ${published(MERGED_PEOPLE.name)}
     ),
     fresh as (select customer_id, kind, count(distinct token) as come from ${FRESH} group by customer_id, kind),
     -- Who holds few identifiers of all kinds together, as the index tells, holds few of one.
     crowded as (
       select customer_id, kind, come, most
       from fresh join unnest($1::text[], $2::integer[]) as rule (kind, most) using (kind)
       where come + (select count(*) from ${identifiers} as held where held.customer_id = fresh.customer_id) > most
     ),
     restrained (customer_id) as (
       select customer_id from ${published(CONFLICTS.name)}
       union all select other_customer_id from ${published(CONFLICTS.name)}
       union all select customer_id from ${published(PEOPLE.name)}
         where is_anonymous and customer_id in (select customer_id from fresh where kind <> all ($3))
       union all select customer_id from crowded
         where come + (select count(*) from ${identifiers} as held
           where held.customer_id = crowded.customer_id and held.kind = crowded.kind) > most
     )
     delete from ${FAMILIAR} using ${FRESH} as fresh
     where fresh.record_key = ${FAMILIAR}.record_key and (fresh.token in (select token from other)
       or fresh.customer_id in (select customer_id from restrained))`,
    [limited.map((rule) => rule.kind), limited.map((rule) => rule.limit), [...DEVICE_KINDS]],
  );
}

/**
 * Gives the familiar records, and the identifiers that came with them for the first time, to the people whose they are. All
 * are rows that are not published: no record of these had an owner, and no identifier was known.
 */
export async function addFamiliar({ client, added }: ChangeContext): Promise<void> {
  const fresh = `from ${FRESH} as fresh join ${FAMILIAR} using (record_key, customer_id)`;
  // In the order of the keys, so that whoever writes them to an index goes through it once.
  await client.query(
    `create view ${added(RECORD_OWNERS.name)} as select record_key, customer_id from ${FAMILIAR} order by record_key;
     create view ${added(IDENTIFIERS.name)} as
       select distinct on (token) token, kind, customer_id, false as is_shared, false as is_blocked,
         stronger_token as linked_token, record_key as linked_record_key ${fresh} order by token, record_key`,
  );
}
