import type pg from "pg";

/**
 * An SQL condition: row `t`, by its `record_key`, is none that is left alone whatever its age: of a person whose data are
 * restricted (GDPR article 18: stored, not used).
 */
export async function notSpared(client: pg.ClientBase | pg.Pool): Promise<string> {
  const { rows } = await (client as pg.Pool).query<{ has: boolean }>(
    "select to_regclass('core.restricted_records') is not null as has",
  );
  return rows[0]?.has
    ? "not exists (select from core.restricted_records as spared where spared.record_key = t.record_key)"
    : "true";
}
