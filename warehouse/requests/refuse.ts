import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import { REFUSAL_REASONS, refusalOf, type Refusal, type RefusalReason } from "../../domain/refusals.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { issueReceiptOnce } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { forgetSubject, moveRequest, readRequest } from "./store.ts";

/**
 * Refuses a request that nothing was done for yet: its clock ends, and whoever asked is to be told why and where to
 * complain (GDPR article 12(4)). What named the person is forgotten.
 * @param request.isBegun also one that is being carried out: whoever does that has found that there is nothing to do
 * @returns what the person is to be told, and the number of the receipt
 * @throws UserError without one of the reasons that the law knows, or where it is too late
 */
export async function refuseRequest(
  pool: pg.Pool,
  vault: Vault,
  {
    requestId,
    reason,
    actor,
    isBegun = false,
  }: { requestId: string; reason: string; actor: string; isBegun?: boolean },
): Promise<Refusal & { receipt: number }> {
  if (!isReason(reason)) {
    const known = Object.keys(REFUSAL_REASONS).join(", ");
    throw new UserError(`a refusal says why; give one of ${known}`, { key: "--reason" });
  }
  const { kind, jurisdiction, receivedAt } = await readRequest(pool, requestId);
  const refusal = refusalOf(reason, jurisdiction);
  const isRefused = await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `update privacy.requests set terms = terms || jsonb_build_object('refusal', $2::text)
       where request_id = $1 and (state in ('received', 'verified', 'planned') or (state = 'approved' and not_before > now())
         or ($3 and state = 'running'))`,
      [requestId, reason, isBegun],
    );
    if (!rowCount) return false;
    const from = ["received", "verified", "planned", "approved", "running"] as const;
    await moveRequest(client, requestId, from, "refused", actor, { reason });
    await recordAudit(client, { actor, action: "request.refuse", detail: { request: requestId, reason } });
    return true;
  });
  const { state, terms } = await readRequest(pool, requestId);
  if (!isRefused && terms.refusal !== reason) {
    throw new UserError(`the request is ${state.replaceAll("_", " ")}, so it can't be refused any more`, {
      key: "request",
    });
  }
  const receipt = await issueReceiptOnce(pool, vault, requestId, "refusal", () => ({
    kind,
    outcome: "refused",
    jurisdiction,
    received_at: receivedAt,
    ...refusal,
  }));
  await forgetSubject(pool, vault, requestId);
  return { ...refusal, receipt };
}

function isReason(reason: string): reason is RefusalReason {
  return Object.hasOwn(REFUSAL_REASONS, reason);
}
