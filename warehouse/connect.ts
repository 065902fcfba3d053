import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { CodedError } from "../domain/errors.ts";

/** What a server says that starts, stops or recovers from a crash. */
const NOT_YET = "57P03";
/** Recovery reads what was written since the last checkpoint, at most the 2 GB of `max_wal_size`. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 200;

/**
 * A connection to a server that runs, or is about to: a crash of one session has all of Postgres recover for a moment.
 * @param patience how long it is waited for, in milliseconds
 * @throws CodedError `warehouse_unavailable` where it still takes no connection by then
 */
export async function connectPatiently(connectionString: string, patience = PATIENCE_MS): Promise<pg.Client> {
  for (const until = Date.now() + patience; ;) {
    const client = new pg.Client({ connectionString });
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      if ((error as { code?: string }).code !== NOT_YET) throw error;
      if (Date.now() >= until) {
        const message = "the warehouse is starting or recovering and takes no connections yet; try again in a while";
        throw new CodedError("warehouse_unavailable", message, { retryable: true });
      }
    }
    await sleep(AGAIN_MS);
  }
}
