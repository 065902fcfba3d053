import { availableParallelism } from "node:os";
import type { ClientBase } from "pg";

/**
 * How many processors may help a statement. Steps run beside each other, so that on two cores a helper is taken from
 * another step: a full build of 1,000,000 events took 18.7 s without helpers, 21.5 s with one and 23.6 s with two, and
 * 32, 36 and 43 s of the server's processors. The server does not tell how many it has; a worker's are taken for them.
 */
const HELPERS = Math.max(0, Math.min(2, Math.floor(availableParallelism() / 2) - 1));

/** Runs `work` between `begin` and a commit, as a step of a build. An error leaves the transaction to whoever gives the client back. */
export async function transaction<T>(client: ClientBase, begin: string, work: () => Promise<T>): Promise<T> {
  await client.query(begin);
  await client.query(`set local max_parallel_workers_per_gather = ${HELPERS};
    set local max_parallel_maintenance_workers = ${HELPERS}`);
  const result = await work();
  await client.query("commit");
  return result;
}
