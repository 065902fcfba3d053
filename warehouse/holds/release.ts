import type pg from "pg";
import type { RequestState } from "../../domain/requests.ts";
import { open } from "../../privacy/sealing.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { vacuumTables } from "../erasure/batch.ts";
import { backupResidue } from "../erasure/complete.ts";
import { issueReceiptOnce, readReceipts } from "../receipts.ts";
import { moveRequest, noteEvent } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { readHeld } from "./held.ts";
import { heldIdentity, holdKey } from "./set-aside.ts";

/** Row `r` of held_records is held by nothing any more: neither by its rule's time nor by hand. */
const IS_DUE = `(r.released_at is not null or (
  (r.until is null or r.until <= now())
  and (r.hold_id is null or exists (select from privacy.holds as h where h.hold_id = r.hold_id
    and (h.released_at is not null or h.until <= now())))))`;

/**
 * Finishes erasures of which something was held whose time is over, or which was released: the records go, with the last
 * of them the key, and a receipt of its own follows the erasure's. Cut off anywhere and done again, it ends the same.
 * @returns records that went
 */
export async function releaseDue(pool: pg.Pool, vault: Vault): Promise<number> {
  const { rows: due } = await pool.query<{ requestId: string }>(
    `select distinct r.request_id as "requestId" from privacy.held_records as r
     join privacy.requests as request on request.request_id = r.request_id and request.completed_at is not null
     where ${IS_DUE}`,
  );
  let released = 0;
  for (const { requestId } of due) {
    released += await inTransaction(pool, async (client) => {
      const { rowCount } = await client.query(
        `delete from privacy.held_records as r where request_id = $1 and ${IS_DUE}`,
        [requestId],
      );
      const { rows } = await client.query<{ left: number }>(
        "select count(*)::int as left from privacy.held_records where request_id = $1",
        [requestId],
      );
      const records = rowCount ?? 0;
      await noteEvent(client, requestId, "worker", "hold_released", { records, left: rows[0]?.left ?? 0 });
      return records;
    });
  }
  if (released > 0) await vacuumTables(pool, ["privacy.held_records"]);
  await finish(pool, vault);
  return released;
}

/** Whatever was released, and has no receipt yet. */
async function finish(pool: pg.Pool, vault: Vault): Promise<void> {
  const { rows } = await pool.query<{ requestId: string; occasion: string; records: number; left: number }>(
    `with releases as (
       select request_id, (detail ->> 'records')::int as records, (detail ->> 'left')::int as left,
         'hold released ' || row_number() over (partition by request_id order by event_id) as occasion
       from privacy.request_events where event = 'hold_released'
     )
     select request_id as "requestId", occasion, records, "left" from releases
     where not exists (select from privacy.receipts as done
       where done.request_id = releases.request_id and done.body::jsonb ->> 'occasion' = releases.occasion)
     order by request_id, occasion`,
  );
  for (const { requestId, occasion, records, left } of rows) {
    const held = await readHeld(pool, requestId);
    const outcome = left > 0 ? "completed_with_exceptions" : await outcomeWithoutHolds(pool, requestId);
    if (left === 0) {
      await vault.destroyPurposeKey(pool, holdKey(requestId));
      await vacuumTables(pool, ["vault.keys"]);
      await inTransaction(pool, (client) =>
        moveRequest(client, requestId, ["completed_with_exceptions"], outcome, "worker"),
      );
    }
    await issueReceiptOnce(pool, vault, requestId, occasion, async () => ({
      kind: "erasure",
      outcome,
      records,
      held,
      backup_residue_until: await backupResidue(pool),
    }));
  }
}

/** What the erasure came to beside what was held. */
async function outcomeWithoutHolds(pool: pg.Pool, requestId: string): Promise<RequestState> {
  const statements = (await readReceipts(pool, requestId)).map(({ body }) => JSON.parse(body) as ErasureStatement);
  const erasure = statements.find(({ occasion }) => occasion === "erasure");
  const isClean =
    erasure?.verification?.findings.length === 0 &&
    erasure.verification.unscanned.length === 0 &&
    (erasure.recipients ?? []).every(({ status }) => status === "accepted" || status === "confirmed");
  return isClean ? "completed" : "completed_with_exceptions";
}

interface ErasureStatement {
  occasion: string;
  recipients?: { status: string }[];
  verification?: { findings: unknown[]; unscanned: unknown[] };
}

/** Opens what is held of an erased person, for the caller's memory alone; the audit notes it before. */
export async function openHeld(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  why: { actor: string; purpose: string },
): Promise<unknown[]> {
  await inTransaction(pool, (client) =>
    recordAudit(client, { ...why, action: "hold.open", detail: { request: requestId } }),
  );
  const key = await vault.purposeKey(pool, holdKey(requestId));
  const { rows } = await pool.query<{ recordKey: string; sealed: Buffer }>(
    `select record_key as "recordKey", sealed from privacy.held_records where request_id = $1 order by relation, record_key`,
    [requestId],
  );
  return rows.map(
    ({ recordKey, sealed }) =>
      JSON.parse(open(key, heldIdentity(requestId, recordKey), sealed).toString("utf8")) as unknown,
  );
}
