import { quoteName } from "../database.ts";
import type { ChangeContext } from "../models/relation.ts";
import type { ContractColumns } from "./contracts.ts";
import { HIDDEN, IDENTIFIERS, MERGES, RECORD_OWNERS } from "./tables.ts";

/** Quoted name of the relation of familiar records, with whose each is. */
export const FAMILIAR = quoteName("build_core", "identity_familiar");
const CARRIED = quoteName("build_core", "identity_carried");

/**
 * Creates `FAMILIAR`: the new records that tell identity nothing. All their identifiers are known ones of one person,
 * neither shared nor blocked, and the strongest was tied to each of the others by a record with a smaller key. So they
 * add no identifier, no link and no neighbour by which an identifier is judged; all there is to say is whose they are.
 * Most new records are of that kind, and need no look at everything else that is known of their people.
 * Rules that look at when an identifier was first seen make every record one that counts.
 */
export async function findFamiliar(context: ChangeContext, contracts: readonly ContractColumns[]): Promise<void> {
  const { client, changes, rules } = context;
  const [identifiers, merges, owners, hidden] = [IDENTIFIERS, MERGES, RECORD_OWNERS, HIDDEN].map(({ name }) =>
    context.published(name)!,
  ) as [string, string, string, string];
  await client.query(`create table ${FAMILIAR} (record_key uuid primary key, customer_id uuid)`);
  const parts = contracts.flatMap(({ relation, from, tokens, telling }) => {
    const changed = changes(relation, telling);
    return tokens.length && changed
      ? [
          `select record_key, unnest(array[${tokens.join(", ")}]) as token from ${from} join ${changed} as changed using (record_key)`,
        ]
      : [];
  });
  if (!parts.length || rules.identifiers.some((rule) => rule.window)) return;
  await client.query(`create table ${CARRIED} (record_key uuid, token text)`);
  await client.query(
    `insert into ${CARRIED} select distinct record_key, token from (${parts.join(" union all ")}) as record
     where exists (select from unnest($1::text[]) as kind where starts_with(token, kind || '_'))
       and not exists (select from ${owners} as owner where owner.record_key = record.record_key)
       and not exists (select from ${hidden} as hidden where hidden.record_key = record.record_key)`,
    [rules.identifiers.map((rule) => rule.kind)],
  );
  await client.query(`analyze ${CARRIED}`);
  await client.query(
    `with known as (
       select record_key, count(*) as carried, any_value(customer_id) as customer_id
       from ${CARRIED} left join ${identifiers} using (token)
       group by record_key
       having count(customer_id) = count(*) and count(distinct customer_id) = 1 and any_value(customer_id) <> ops.nobody()
         and not bool_or(token in (select token from ops.blocked_identifiers))
     ),
     tied as (
       select weaker.record_key, stronger.token, count(*) as ties
       from ${CARRIED} as weaker
       join ${merges} as link on link.weaker_token = weaker.token and link.record_key < weaker.record_key
       join ${CARRIED} as stronger on stronger.record_key = weaker.record_key and stronger.token = link.stronger_token
       group by weaker.record_key, stronger.token
     )
     insert into ${FAMILIAR} select record_key, customer_id from known
     where carried = 1 or (record_key, carried - 1) in (select record_key, ties from tied)`,
  );
  await client.query(`drop table ${CARRIED}; analyze ${FAMILIAR}`);
}
