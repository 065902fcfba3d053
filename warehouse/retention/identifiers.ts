import type pg from "pg";
import { inTransaction, quoteName } from "../database.ts";
import { quoteRelation } from "../models/build.ts";
import { readRawTables, type RawTable } from "../erasure/raw-tables.ts";
import { readStateColumns } from "../erasure/sweep-state.ts";
import { TOKEN_IN_TEXT } from "../erasure/sweep-texts.ts";
import { readEpoch } from "../epoch.ts";
import type { Vault } from "../vault.ts";
import { addChanged } from "./run.ts";

/** What names identifiers and never asks for their values: it does not keep them. */
const NAMES_ONLY = new Set([
  "ops.blocked_identifiers",
  "ops.use_limits",
  "privacy.bystanders",
  "privacy.consent_identifiers",
  "privacy.subjects",
  "privacy.unused_identifiers",
]);

/**
 * Takes identifiers, with the keys of their own, out of the vault that no record and nothing else carries any more. They
 * are looked for while everything runs; then, with the epoch held, what has landed since is looked at once more.
 */
export async function dropUnusedIdentifiers(pool: pg.Pool, vault: Vault, runId: string): Promise<void> {
  const tables = await readRawTables(pool);
  const horizon = await inTransaction(pool, async (client) => {
    await readEpoch(client);
    // Identifiers that are getting new names are looked at by the next run.
    const { rows } = await client.query<{ horizon: string; isRenaming: boolean }>(
      `select pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
         exists (select from vault.token_changes) as "isRenaming"`,
    );
    if (rows[0]?.isRenaming) return null;
    await client.query("delete from privacy.unused_identifiers");
    await client.query("insert into privacy.unused_identifiers select token from vault.identifiers");
    await leaveOutUsed(client, tables, null);
    return rows[0]?.horizon ?? null;
  });
  if (horizon === null) return;
  await inTransaction(pool, async (client) => {
    await client.query("lock table privacy.epoch in exclusive mode");
    await readEpoch(client);
    await leaveOutUsed(client, tables, horizon);
    const { rowCount } = await client.query(
      "delete from vault.identifiers where token in (select token from privacy.unused_identifiers)",
    );
    await client.query("delete from privacy.unused_identifiers");
    await addChanged(client, runId, { "vault.identifiers delete": rowCount ?? 0 });
    if (rowCount) await client.query("update privacy.epoch set epoch = epoch + 1");
  });
  vault.forgetIdentifiers();
}

/** @param horizon only rows of raw that landed since are looked at; null: all, and the histories */
async function leaveOutUsed(client: pg.ClientBase, tables: readonly RawTable[], horizon: string | null): Promise<void> {
  const isUsed = (tokens: string): Promise<unknown> =>
    client.query(`delete from privacy.unused_identifiers where token in (${tokens})`);
  for (const { name, identifiers, texts } of tables) {
    for (const table of horizon === null ? [name, `${name}__history`] : [name]) {
      const relation = quoteName("raw", table);
      const isNew = horizon === null ? "true" : `t.landed_xid >= '${horizon}'::xid8`;
      for (const column of [...identifiers, "owner_token"]) {
        await isUsed(`select t.${quoteName(column)} from ${relation} as t where ${isNew}`);
      }
      for (const { name: column } of texts) await isUsed(tokensInText(relation, quoteName(column), isNew));
    }
  }
  for (const { relation, column, holds } of await readStateColumns(client)) {
    if (NAMES_ONLY.has(relation) || relation.startsWith("vault.") || holds === "customer") continue;
    const name = quoteName(column);
    const from = quoteRelation(relation);
    await isUsed(`select ${holds === "tokens" ? `unnest(${name})` : name} from ${from}`);
  }
  await isUsed(tokensInText("ops.undeclared_fields", "field", "true"));
  await isUsed(tokensInText("ops.quarantine", "pointer", "true"));
}

function tokensInText(relation: string, column: string, condition: string): string {
  return `select found[1] from ${relation} as t cross join lateral regexp_matches(t.${column}::text, '${TOKEN_IN_TEXT}', 'g') as found
    where ${condition} and (t.${column}::text like '%email\\_%' or t.${column}::text like '%phone\\_%')`;
}
