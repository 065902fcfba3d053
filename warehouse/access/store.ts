import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import type { RequestReport } from "../../domain/requests.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { issueReceiptOnce } from "../receipts.ts";
import { forgetSubject, moveRequest, noteEvent, readRequest } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import type { Archive } from "./archive.ts";

/** Closes a request for access: its archive is there to be had. Done again, it gives the receipt that was issued. */
export async function completeAccess(
  pool: pg.Pool,
  vault: Vault,
  { requestId, archive, expiresAt }: { requestId: string; archive: Archive; expiresAt: Date },
): Promise<RequestReport> {
  const { kind, jurisdiction, receivedAt } = await readRequest(pool, requestId);
  const receipt = await issueReceiptOnce(pool, vault, requestId, kind, () => ({
    kind,
    outcome: "completed",
    jurisdiction,
    received_at: receivedAt,
    rows: archive.files,
    redacted: archive.redacted,
    archive_expires_at: expiresAt.toISOString(),
  }));
  await inTransaction(pool, (client) =>
    moveRequest(client, requestId, ["running"], "completed", "worker", { receipt, bytes: archive.bytes }),
  );
  await forgetSubject(pool, vault, requestId);
  return { state: "completed", receipt };
}

/**
 * Hands an archive out, once: when its last byte was taken, it is deleted. Audited.
 * @throws UserError where there is none, or not any more
 */
export async function* takeArchive(pool: pg.Pool, requestId: string, actor: string): AsyncGenerator<Buffer> {
  await readRequest(pool, requestId);
  const { rows } = await pool.query(
    "select from privacy.archives where request_id = $1 and finished_at is not null and expires_at > now()",
    [requestId],
  );
  if (rows.length === 0) {
    throw new UserError(
      "has no archive, or not any more: it is handed out once, and deleted when its time is over; ask again with request access",
      { key: "request" },
    );
  }
  await inTransaction(
    pool,
    (client) => recordAudit(client, { actor, action: "archive.take", detail: { request: requestId } }),
    "begin; set local role privacy",
  );
  for (let part = 0; ; part += 1) {
    const { rows: parts } = await pool.query<{ content: Buffer }>(
      "select content from privacy.archive_parts where request_id = $1 and part = $2",
      [requestId, part],
    );
    if (!parts[0]) break;
    yield parts[0].content;
  }
  await deleteArchive(pool, requestId, actor, "archive_taken");
}

/** Deletes an archive, if it is still there. */
export async function deleteArchive(
  pool: pg.Pool,
  requestId: string,
  actor: string,
  event: "archive_taken" | "archive_expired",
): Promise<void> {
  const { rowCount } = await pool.query("delete from privacy.archives where request_id = $1", [requestId]);
  if (rowCount) await noteEvent(pool, requestId, actor, event);
}
