import type pg from "pg";

/** The epoch under which a transaction decides what to write. */
export async function readEpoch(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ epoch: string }>("select epoch::text from privacy.epoch");
  return rows[0]?.epoch ?? "none";
}

/**
 * The epoch at a transaction's end, held until the commit: an erasure that begins now waits for it. Has to be the
 * transaction's last statement; where the epoch differs from the one at its beginning, the work is decided anew.
 */
export async function lockEpoch(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ epoch: string }>("select epoch::text from privacy.epoch for share");
  return rows[0]?.epoch ?? "none";
}
