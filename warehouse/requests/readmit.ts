import type pg from "pg";
import { inTransaction } from "../database.ts";
import { readEpoch } from "../epoch.ts";
import { suppressionsOf } from "../landing/suppressions.ts";
import { issueReceiptOnce } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { forgetSubject, moveRequest, openIdentifiers, readRequest } from "./store.ts";

/**
 * Lets an erased person in again, by the identifiers that they ask with: from now on records that carry them land, as
 * somebody new's. Facts that were stripped stay so. Done again, it gives the receipt that was issued.
 * @returns the receipt's number; null where the request asks for something else, or has ended otherwise
 */
export async function readmit(pool: pg.Pool, vault: Vault, requestId: string, actor: string): Promise<number | null> {
  const { kind, state, completedAt } = await readRequest(pool, requestId);
  if (kind !== "readmission" || (completedAt !== null && state !== "completed")) return null;
  if (completedAt === null) await liftSuppressions(pool, vault, requestId, actor);
  const receipt = await issueReceiptOnce(pool, vault, requestId, kind, async () => ({
    kind,
    outcome: "completed",
    identifiers: (await openIdentifiers(pool, vault, requestId)).length,
    suppressions_lifted: await countLifted(pool, requestId),
  }));
  await forgetSubject(pool, vault, requestId);
  return receipt;
}

async function liftSuppressions(pool: pg.Pool, vault: Vault, requestId: string, actor: string): Promise<void> {
  const hashes = (await openIdentifiers(pool, vault, requestId)).flatMap(({ kind, canonical }) =>
    suppressionsOf(vault.naming, kind, canonical, canonical.includes("@")),
  );
  await inTransaction(pool, async (client) => {
    await client.query("lock table privacy.epoch in exclusive mode");
    await readEpoch(client);
    const { rowCount } = await client.query("delete from privacy.suppressions where hash = any($1::bytea[])", [hashes]);
    await client.query(
      "update privacy.epoch set epoch = epoch + 1, suppressions = (select count(*) from privacy.suppressions)",
    );
    await moveRequest(client, requestId, ["received", "verified"], "completed", actor, { lifted: rowCount ?? 0 });
  });
}

async function countLifted(pool: pg.Pool, requestId: string): Promise<number> {
  const { rows } = await pool.query<{ lifted: number }>(
    "select (detail ->> 'lifted')::int as lifted from privacy.request_events where request_id = $1 and event = 'completed'",
    [requestId],
  );
  return rows[0]?.lifted ?? 0;
}
