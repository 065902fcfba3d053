import type pg from "pg";
import { inTransaction } from "../database.ts";
import { readEpoch } from "../epoch.ts";
import { suppressionsOf } from "../landing/suppressions.ts";
import { issueReceipt } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { forgetSubject, moveRequest, openIdentifiers, readRequest } from "./store.ts";

/**
 * Lets an erased person in again, by the identifiers that they ask with: from now on records that carry them land, as
 * somebody new's. Facts that were stripped stay so. Done again, it gives the receipt that was issued.
 * @returns the receipt's number; null where the request has been carried out before
 */
export async function readmit(pool: pg.Pool, vault: Vault, requestId: string, actor: string): Promise<number | null> {
  const { kind, completedAt } = await readRequest(pool, requestId);
  if (kind !== "readmission" || completedAt !== null) return null;
  const identifiers = await openIdentifiers(pool, vault, requestId);
  const hashes = identifiers.flatMap(({ kind: each, canonical }) =>
    suppressionsOf(vault.naming, each, canonical, canonical.includes("@")),
  );
  const lifted = await inTransaction(pool, async (client) => {
    await client.query("lock table privacy.epoch in exclusive mode");
    await readEpoch(client);
    const { rowCount } = await client.query("delete from privacy.suppressions where hash = any($1::bytea[])", [hashes]);
    await client.query(
      "update privacy.epoch set epoch = epoch + 1, suppressions = (select count(*) from privacy.suppressions)",
    );
    await moveRequest(client, requestId, ["received", "verified"], "completed", actor, { lifted: rowCount ?? 0 });
    return rowCount ?? 0;
  });
  const receipt = await issueReceipt(pool, vault, requestId, {
    occasion: "readmission",
    kind,
    outcome: "completed",
    identifiers: identifiers.length,
    suppressions_lifted: lifted,
  });
  await forgetSubject(pool, vault, requestId);
  return receipt;
}
