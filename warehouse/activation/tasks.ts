import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { noteEvent, readRequest, requestKey } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { openHandles } from "./erasures.ts";
import type { Handed } from "./send.ts";

interface Open {
  id: string;
  envelope: Buffer;
}

/** Erasures at a destination that only a person can have done, while their request is still open. */
async function readOpen(client: pg.ClientBase, requestId: string, destination: string): Promise<Open[]> {
  const { rows } = await client.query<Open>(
    `select delivery_id as id, envelope from privacy.deliveries
     where request_id::text = $1 and destination = $2 and state in ('manual', 'failed') and envelope is not null
     order by made_at for update`,
    [requestId, destination],
  );
  if (rows.length > 0) return rows;
  await readRequest(client, requestId);
  throw new UserError(`nothing of this request has to be done by hand at ${destination}`, { key: "request" });
}

/**
 * Whom a destination has to be asked to erase, under which pseudonyms and with which values it has them: for the memory of
 * who asks it. The audit knows that it was looked at.
 * @throws UserError where there is nothing to do
 */
export async function openTask(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  destination: string,
  actor: string,
): Promise<Handed[]> {
  const open = await inTransaction(pool, async (client) => {
    const rows = await readOpen(client, requestId, destination);
    const detail = { request: requestId, recipient: destination };
    await recordAudit(client, { actor, action: "request.task", purpose: "erasure by hand", detail });
    return rows;
  });
  const key = await requestKey(pool, vault, requestId);
  return open.flatMap(({ id, envelope }) => openHandles(key, id, envelope));
}

/** Notes that a person has had it done. @throws UserError where there was nothing to do */
export async function finishTask(pool: pg.Pool, requestId: string, destination: string, actor: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    const open = await readOpen(client, requestId, destination);
    await client.query(
      "update privacy.deliveries set state = 'confirmed', settled_at = now(), envelope = null where delivery_id = any($1::uuid[])",
      [open.map(({ id }) => id)],
    );
    await noteEvent(client, requestId, actor, "done_by_hand", { destination });
  });
}
