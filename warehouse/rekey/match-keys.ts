import type pg from "pg";
import { quoteName } from "../database.ts";
import type { StreamPlan } from "../landing/plan.ts";
import { rereadRow, tokensIn } from "../landing/reprocess.ts";
import type { LandedRow } from "../landing/reread.ts";
import { Tokeniser } from "../landing/seal.ts";
import type { Vault } from "../vault.ts";
import { nextNaming, noteChanges } from "./rekey.ts";

const BATCH = 2_000;

/**
 * Notes the new names of a stream's match keys: their parts are sealed in its rows, and opened in memory alone. One whose
 * parts are gone, of which nothing new could ever make the same, is named after its former name.
 */
export async function mapMatchKeys(
  pool: pg.Pool,
  vault: Vault,
  plan: StreamPlan,
  progress: (count: number) => void = () => undefined,
): Promise<void> {
  if (plan.matchKeys.length === 0) return;
  const { naming } = await nextNaming(pool, vault);
  const { source, name } = plan.stream;
  const streamKey = await vault.purposeKey(pool, `stream:${source}.${name}`);
  const places = plan.matchKeys.map((matchKey) => ({
    kind: matchKey.name,
    column: quoteName(matchKey.column),
    index: plan.columns.findIndex(({ name: column }) => column === matchKey.column),
  }));
  for (const table of [plan.table, `${plan.table}__history`]) {
    const relation = quoteName("raw", table);
    const { rows: made } = await pool.query<{ isMade: boolean }>(`select to_regclass($1) is not null as "isMade"`, [
      relation,
    ]);
    if (!made[0]?.isMade) continue;
    let read = 0;
    const unnamed = places.map(({ column }) => isUnnamed(column)).join(" or ");
    for (let after: [string, string] | null = null; ;) {
      const rows: LandedRow[] = await readRows(pool, plan, `${relation} where (${unnamed})`, after);
      const opened = await vault.openIdentifiers(pool, tokensIn(plan, rows));
      const changes = new Map<string, string>();
      for (const row of rows) {
        const prepared = rereadRow(plan, row, opened, streamKey)?.prepared;
        const again = prepared && new Tokeniser(plan, naming).tokenise(prepared).columns;
        for (const { index } of places) {
          const [former, token] = [row.columns[index], again?.[index]];
          if (former && token && former !== token) changes.set(former, token);
        }
      }
      await noteChanges(pool, changes);
      progress((read += rows.length));
      const last = rows.at(-1);
      if (!last || rows.length < BATCH) break;
      after = [last.recordKey, last.contentHash];
    }
    for (const { kind, column } of places) {
      const { rows: rest } = await pool.query<{ former: string }>(
        `select distinct ${column} as former from ${relation} where ${isUnnamed(column)}`,
      );
      await noteChanges(pool, new Map(rest.map(({ former }) => [former, naming.token(kind, `former\0${former}`)])));
    }
  }
}

/** A match key whose new name has not been noted, and that has it not yet. */
function isUnnamed(column: string): string {
  const isNoted = (name: string): string => `exists (select from vault.token_changes as c where c.${name} = ${column})`;
  return `(${column} is not null and not ${isNoted("former")} and not ${isNoted("token")})`;
}

/** @param from the table, with a condition */
async function readRows(
  pool: pg.Pool,
  plan: StreamPlan,
  from: string,
  after: [string, string] | null,
): Promise<LandedRow[]> {
  const columns = plan.columns.map(({ name }) => `${quoteName(name)}::text`);
  const { rows } = await pool.query<LandedRow>(
    `select record_key as "recordKey", content_hash as "contentHash", version::text as version, sealed,
       owner_token as "ownerToken", array[${columns.join(", ")}]::text[] as columns
     from ${from} and ($1::uuid is null or (record_key, content_hash) > ($1, $2::uuid))
     order by record_key, content_hash limit ${BATCH}`,
    after ?? [null, null],
  );
  return rows;
}
