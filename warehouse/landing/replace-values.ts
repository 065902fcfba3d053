import type pg from "pg";
import { quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import { rereadRow, tokensIn, writeRows } from "./reprocess.ts";
import type { LandedRow } from "./reread.ts";
import { sealingTokens, sealSecret, Tokeniser, type Tokenised } from "./seal.ts";
import { readSuppressions } from "./suppressions.ts";
import { readEpoch } from "../epoch.ts";

/**
 * Replaces values of records where they stand, in the caller's transaction: the rows are opened in memory, tokenised and
 * sealed anew, and keep their content hash, so that a source that sends the same record again changes nothing.
 * @param values by record and field, the text as a column would hold it
 * @returns by record and field, what stood there; what stood there already is left out
 */
export async function replaceValues(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  plan: StreamPlan,
  values: ReadonlyMap<string, ReadonlyMap<string, string | null>>,
): Promise<Map<string, Map<string, string | null>>> {
  const before = new Map<string, Map<string, string | null>>();
  const columns = plan.columns.map(({ name }) => `${quoteName(name)}::text`);
  const { rows } = await client.query<LandedRow>(
    `select record_key as "recordKey", content_hash as "contentHash", version::text as version, sealed,
       owner_token as "ownerToken", array[${columns.join(", ")}]::text[] as columns
     from ${quoteName("raw", plan.table)} where record_key = any($1::uuid[]) and deleted_at is null order by record_key for update`,
    [[...values.keys()]],
  );
  const streamKey = await vault.purposeKey(pool, `stream:${plan.stream.source}.${plan.stream.name}`);
  const opened = await vault.openIdentifiers(client, tokensIn(plan, rows));
  const tokeniser = new Tokeniser(plan, vault.naming, await readSuppressions(client, vault, await readEpoch(client)));
  const changed: Tokenised[] = [];
  for (const row of rows) {
    const again = rereadRow(plan, row, opened, streamKey);
    if (again === null) continue;
    const replaced = new Map<string, string | null>();
    for (const [field, value] of values.get(row.recordKey) ?? []) {
      const index = plan.fieldIndex.get(field);
      const stood = index === undefined ? null : (again.prepared.values[index] ?? null);
      if (index === undefined || stood === value) continue;
      replaced.set(field, stood);
      again.prepared.values[index] = value;
    }
    if (replaced.size === 0) continue;
    before.set(row.recordKey, replaced);
    changed.push(tokeniser.tokenise(again.prepared));
  }
  const keys = await vault.identifierKeys(client, tokeniser.identifiers, sealingTokens(changed));
  await writeRows(client, plan, { isInHistory: false }, changed, (row) =>
    sealSecret(plan, row, row.ownerToken === null ? streamKey : (keys.get(row.ownerToken) ?? null)),
  );
  return before;
}
