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

/** Whether a request's archive is there to be had. */
export async function hasArchive(pool: pg.Pool, requestId: string): Promise<boolean> {
  return (await findArchive(pool, requestId)) > 0;
}

/**
 * Hands an archive out, once: when all of it was taken, it is deleted. While somebody takes it, nobody else does; who was cut
 * off may begin anew. Audited.
 * @param take what takes its bytes to where they go; begun only where there is an archive
 * @throws UserError where there is none, or not any more
 */
export async function takeArchive(
  pool: pg.Pool,
  requestId: string,
  actor: string,
  take: (parts: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  await readRequest(pool, requestId);
  await inTransaction(pool, async (client) => {
    if ((await findArchive(client, requestId, "for update skip locked")) === 0) {
      throw new UserError(
        "has no archive, or not any more: it is handed out once, and deleted when its time is over; ask again with request access",
        { key: "request" },
      );
    }
    // In a transaction of its own: that somebody has begun stays noted, whatever becomes of it.
    await inTransaction(
      pool,
      (own) => recordAudit(own, { actor, action: "archive.take", detail: { request: requestId } }),
      "begin; set local role privacy",
    );
    await take(readParts(client, requestId));
    await deleteArchive(client, requestId, actor, "archive_taken");
  });
}

async function findArchive(client: pg.Pool | pg.ClientBase, requestId: string, lock = ""): Promise<number> {
  const { rowCount } = await client.query(
    `select from privacy.archives where request_id = $1 and finished_at is not null and expires_at > now() ${lock}`,
    [requestId],
  );
  return rowCount ?? 0;
}

async function* readParts(client: pg.ClientBase, requestId: string): AsyncGenerator<Buffer> {
  for (let part = 0; ; part += 1) {
    const { rows } = await client.query<{ content: Buffer }>(
      "select content from privacy.archive_parts where request_id = $1 and part = $2",
      [requestId, part],
    );
    if (!rows[0]) return;
    yield rows[0].content;
  }
}

/** Deletes an archive, if it is still there. */
export async function deleteArchive(
  client: pg.Pool | pg.ClientBase,
  requestId: string,
  actor: string,
  event: "archive_taken" | "archive_expired",
): Promise<void> {
  const { rowCount } = await client.query("delete from privacy.archives where request_id = $1", [requestId]);
  if (rowCount) await noteEvent(client, requestId, actor, event);
}
