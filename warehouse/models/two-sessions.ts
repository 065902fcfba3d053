import type { ClientBase, Pool } from "pg";
import { transaction } from "./transaction.ts";

/**
 * Has a queue worked off by the client, which is in a transaction of one snapshot, and by a second connection that reads
 * the same.
 * @param work takes from the queue until it is empty
 */
export async function onTwoSessions(
  pool: Pool,
  client: ClientBase,
  queue: unknown[],
  work: (session: ClientBase) => Promise<void>,
): Promise<void> {
  const { rows } = await client.query<{ snapshot: string }>("select pg_export_snapshot() as snapshot");
  const helper = importSnapshot(pool, rows[0]!.snapshot, () => queue.length > 0, work);
  helper.catch(() => queue.splice(0));
  try {
    await work(client);
    await helper;
  } finally {
    // After a failure the helper may add nothing more once a lock is free for a retry.
    queue.splice(0);
    await helper.catch(() => undefined);
  }
}

/** A second connection that reads the same snapshot; without work left by the time it has connected, it does nothing. */
async function importSnapshot(
  pool: Pool,
  snapshot: string,
  hasWork: () => boolean,
  work: (client: ClientBase) => Promise<void>,
): Promise<void> {
  const client = await pool.connect();
  let isBroken = false;
  try {
    if (!hasWork()) return;
    await transaction(client, "begin isolation level repeatable read", async () => {
      await client.query(`set transaction snapshot '${snapshot.replace(/[^0-9A-Fa-f-]/g, "")}'`);
      await work(client);
    });
  } catch (error) {
    isBroken = true;
    throw error;
  } finally {
    client.release(isBroken);
  }
}
