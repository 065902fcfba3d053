import type pg from "pg";
import type { RequestState, Verification } from "../../domain/requests.ts";
import type { HeldRows } from "../../domain/retention.ts";
import { inTransaction } from "../database.ts";
import { readHeld } from "../holds/held.ts";
import { readErasures } from "../activation/erasures.ts";
import { issueReceipt, issueReceiptOnce } from "../receipts.ts";
import { moveRequest, noteEvent, readRequest } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { readSwept } from "./batch.ts";

export interface Completion {
  state: RequestState;
  /** Number of the receipt. */
  receipt: number;
  /** Who was handed something of the person before, and has to be told by hand. */
  recipients: string[];
  /** What of the person is kept for a while, and for what. */
  held: HeldRows[];
}

/**
 * Says, signed, what an erasure has come to: `completed` only where a look for what is left found nothing and left out
 * nothing, nothing is held, and every destination that was handed something of the person has taken its erasure. Done again it gives the receipt that was issued.
 */
export async function completeErasure(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  verification: Verification,
): Promise<Completion> {
  const request = await readRequest(pool, requestId);
  const { rows: handedOver } = await pool.query<{ recipient: string }>(
    `select detail ->> 'recipient' as recipient from privacy.request_events
     where request_id = $1 and event = 'handed_over' order by event_id`,
    [requestId],
  );
  const elsewhere = await readErasures(pool, requestId);
  const unfinished = elsewhere.filter(({ status }) => status !== "accepted" && status !== "confirmed");
  const recipients = [...handedOver, ...unfinished].map(({ recipient }) => recipient);
  const held = await readHeld(pool, requestId);
  const isClean =
    verification.findings.length === 0 &&
    verification.unscanned.length === 0 &&
    recipients.length === 0 &&
    held.length === 0;
  const state = isClean ? "completed" : "completed_with_exceptions";
  const receipt = await issueReceiptOnce(pool, vault, requestId, "erasure", async () => {
    const { swept, startedAt, tombstonedAt } = await readSwept(pool, request.batchId as string);
    return {
      kind: request.kind,
      outcome: state,
      jurisdiction: request.jurisdiction,
      received_at: request.receivedAt,
      started_at: startedAt,
      suppressed_at: tombstonedAt,
      plan: request.plan,
      // Of everybody who was erased in the same pass: a table is read once for all.
      swept_together: swept,
      // Nothing reaches into a file that has left: somebody has to ask whoever got it.
      recipients: [...handedOver.map(({ recipient }) => ({ recipient, status: "manual" })), ...elsewhere],
      // Sealed apart, where nothing uses it (GDPR article 17(3)).
      held,
      verification: stated(verification),
      backup_residue_until: await backupResidue(pool),
    };
  });
  await inTransaction(pool, async (client) => {
    const detail = { receipt, findings: verification.findings.length };
    await moveRequest(client, requestId, ["running"], state, "worker", detail);
    await client.query("update privacy.deliveries set envelope = null where request_id = $1", [requestId]);
  });
  const { state: now } = await readRequest(pool, requestId);
  return { state: now, receipt, recipients, held };
}

/** A later look, with a receipt of its own: nothing has come back, or what has. @returns the receipt's number */
export async function recordRecheck(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  occasion: string,
  verification: Verification,
): Promise<number> {
  const receipt = await issueReceipt(pool, vault, requestId, {
    occasion,
    outcome: verification.findings.length === 0 ? "nothing found" : "found again",
    verification: stated(verification),
    backup_residue_until: await backupResidue(pool),
  });
  await noteEvent(pool, requestId, "worker", "recheck", { occasion, receipt, findings: verification.findings.length });
  return receipt;
}

function stated({ verifiedAt, ...rest }: Verification): Record<string, unknown> {
  return { verified_at: verifiedAt, ...rest };
}

/**
 * Copies of the vault that were made before hold the erased keys, wrapped by a generation that still lives; from its
 * destruction on they open nothing.
 */
export async function backupResidue(pool: pg.Pool): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<{ generation: number }>(
    "select generation from vault.generations where status = 'current'",
  );
  return { event: "key generation destroyed", generation: rows[0]?.generation ?? null };
}
