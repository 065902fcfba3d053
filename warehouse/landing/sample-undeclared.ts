import type pg from "pg";
import { parseJson } from "../../domain/json.ts";
import { open } from "../../privacy/sealing.ts";
import { inTransaction, quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import { rowIdentity } from "./seal.ts";

/** Rows looked through at a time, and values that are enough to tell a type. */
const [BATCH, ENOUGH] = [2_000, 1_000];
/** A field that only older records hold is looked for in this many of them. */
const MOST_ROWS = 200_000;

/** Values of an undeclared field, opened for the caller's memory alone. Keys are keyed hashes, so their order is a sample. */
export async function sampleUndeclared(
  pool: pg.Pool,
  vault: Vault,
  plan: StreamPlan,
  field: string,
): Promise<unknown[]> {
  const streamKey = await vault.purposeKey(pool, `stream:${plan.stream.source}.${plan.stream.name}`);
  const values: unknown[] = [];
  let after: string | null = null;
  for (let read = 0; read < MOST_ROWS && values.length < ENOUGH; read += BATCH) {
    const rows = await inTransaction(pool, async (client) => {
      const { rows: landed } = await client.query<{
        recordKey: string;
        contentHash: string;
        sealed: Buffer;
        ownerToken: string | null;
      }>(
        `select record_key as "recordKey", content_hash as "contentHash", sealed, owner_token as "ownerToken"
         from ${quoteName("raw", plan.table)} where sealed is not null and ($1::uuid is null or record_key > $1)
         order by record_key limit ${BATCH}`,
        [after],
      );
      const owners = landed.flatMap(({ ownerToken }) => ownerToken ?? []);
      const opened = await vault.openIdentifiers(client, [...new Set(owners)]);
      return landed.map((row) => ({
        ...row,
        key: row.ownerToken === null ? streamKey : opened.get(row.ownerToken)?.key,
      }));
    });
    for (const { key, recordKey, contentHash, sealed } of rows) {
      if (key === undefined) continue;
      const text = open(key, rowIdentity(plan.table, recordKey, contentHash), sealed).toString("utf8");
      const { undeclared } = parseJson(text) as { undeclared?: Record<string, unknown> };
      if (undeclared && Object.hasOwn(undeclared, field)) values.push(undeclared[field]);
    }
    after = rows.at(-1)?.recordKey ?? null;
    if (rows.length < BATCH) break;
  }
  return values;
}
