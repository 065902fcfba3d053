import type pg from "pg";
import { CodedError } from "../domain/errors.ts";

/**
 * The epoch under which a transaction decides what to write.
 * @throws CodedError `warehouse_unavailable` while stored tokens are being renamed under a new key
 */
export async function readEpoch(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ epoch: string; isMoving: boolean }>(
    `select epoch::text, moving_xid is not null as "isMoving" from privacy.epoch`,
  );
  if (rows[0]?.isMoving) throw tokensMove();
  return rows[0]?.epoch ?? "none";
}

/** What waits until tokens have their new names: as long as for a warehouse that is away. */
export function tokensMove(): CodedError {
  const message = "the stored tokens are being renamed under a new key; it goes on once that is done";
  return new CodedError("warehouse_unavailable", message, { retryable: true });
}

/**
 * The epoch at a transaction's end, held until the commit: an erasure that begins now waits for it. Has to be the
 * transaction's last statement; where the epoch differs from the one at its beginning, the work is decided anew.
 */
export async function lockEpoch(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ epoch: string }>("select epoch::text from privacy.epoch for share");
  return rows[0]?.epoch ?? "none";
}
