import type pg from "pg";
import type { Retention } from "./rules.ts";

/**
 * An SQL condition: row `t`, by its `record_key`, is none that is left alone whatever its age: of a person whose data are
 * restricted (GDPR article 18: stored, not used), or of whom somebody holds this category.
 */
export async function notSpared(
  client: pg.ClientBase | pg.Pool,
  relation: string,
  { categories }: Retention,
): Promise<string> {
  const { rows } = await (client as pg.Pool).query<{ isBuilt: boolean; holds: string[] | null }>(
    `select to_regclass('core.restricted_records') is not null as "isBuilt",
       (select array_agg(hold_id::text) from privacy.holds
        where category = any($1) and released_at is null and (until is null or until > now())) as holds`,
    [categories.get(relation) ?? []],
  );
  const { isBuilt = false, holds = null } = rows[0] ?? {};
  if (!isBuilt) return "true";
  const isRestricted = "exists (select from core.restricted_records as spared where spared.record_key = t.record_key)";
  if (holds === null) return `not ${isRestricted}`;
  return `not ${isRestricted} and not exists (
    select from core.record_owners as owners
    join core.identifiers as who on who.customer_id = owners.customer_id
    join privacy.hold_identifiers as held on held.token = who.token
    where owners.record_key = t.record_key and held.hold_id in (${holds.map((hold) => `'${hold}'`).join(", ")}))`;
}
