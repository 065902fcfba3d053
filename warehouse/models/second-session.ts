import type { ClientBase, Pool, PoolClient } from "pg";

/**
 * A further session of a step's computation, opened where it is asked for, with a transaction of its own. Should it see
 * an input otherwise than the first one, somebody has changed that during the build, which then is not published.
 */
export class SecondSession {
  readonly #pool: Pool;
  readonly #first: ClientBase;
  readonly #prepare: (client: ClientBase) => Promise<void>;
  #opening: Promise<PoolClient> | null = null;
  #isBroken = true;

  /**
   * @param first the session that it is beside, in a transaction
   * @param prepare the first statements of its own transaction
   */
  constructor(pool: Pool, first: ClientBase, prepare: (client: ClientBase) => Promise<void>) {
    this.#pool = pool;
    this.#first = first;
    this.#prepare = prepare;
  }

  readonly open = async (): Promise<ClientBase> => {
    this.#opening ??= this.#begin();
    return await this.#opening;
  };

  /** Commits what was done in it; `last` are its last statements. */
  async commit(last: (client: ClientBase) => Promise<void>): Promise<void> {
    if (!this.#opening) return;
    const client = await this.#opening;
    await last(client);
    await client.query("commit");
    this.#isBroken = false;
  }

  /** Gives the session back; what was not committed is undone, since a session in the middle of a transaction is ended. */
  async close(): Promise<void> {
    const client = await this.#opening?.catch(() => null);
    client?.release(this.#isBroken);
  }

  async #begin(): Promise<PoolClient> {
    const client = await this.#pool.connect();
    try {
      // Not the first one's snapshot: who lends it can no longer write rows frozen.
      await client.query("begin");
      await this.#prepare(client);
      // Two sessions sort at the same time already; each with helpers of its own, they would wait for one another.
      for (const each of [this.#first, client]) await each.query("set local max_parallel_maintenance_workers = 0");
      return client;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }
}
