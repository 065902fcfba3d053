import pg from "pg";

/** Values come back as text where a JavaScript type would lose digits: dates, timestamps, numerics and int8. */
const TEXT_TYPES = new Set([20, 1082, 1083, 1114, 1184, 1186, 1266, 1700]);

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    TEXT_TYPES.has(oid) ? (value: string) => value : pg.types.getTypeParser(oid, format as "text")) as never,
};

const SESSION = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601";

/** How long a transaction may be left idle, in seconds: long enough to wait for another session's snapshot. */
const IDLE_S = 300;
/** A loader waits for nothing in a transaction, and a worker that was paused in one keeps others from what it holds. */
const IDLE_LOADER_S = 30;

/** What a session may be, by the work it does; sql/migrations says what each may touch. */
export type WarehouseRole = "loader" | "publisher" | "privacy" | "activator" | "auditor";

/**
 * A pool of connections to the warehouse. Sessions run in UTC with ISO dates; a transaction left idle for five minutes (a
 * loader's: for half a minute) is ended by the server, since any open writer holds back what the models may read.
 * @param options.role what the sessions are from their first statement on; without it, the login itself
 */
export function openPool(databaseUrl: string, options: { max?: number; name: string; role?: WarehouseRole }): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    types,
    application_name: `miette ${options.name}`,
    connectionTimeoutMillis: 10_000,
    // A server that vanished without a word (a failover, a cut cable) is noticed by the system's probes.
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    options: `${SESSION} -c idle_in_transaction_session_timeout=${options.role === "loader" ? IDLE_LOADER_S : IDLE_S}s${options.role ? ` -c role=${options.role}` : ""}`,
  });
  // An idle connection that the server ends (a restart) must not end the process: the next query opens another.
  pool.on("error", () => undefined);
  // The same for a connection in use: its query rejects, and the event would end the process besides.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** A pool for each role that a worker's activities take. */
export type Pools = Record<"loader" | "publisher" | "privacy" | "activator", pg.Pool>;

/** Opens them by the login of a worker, which may become each role and is none of them by itself. */
export function openPools(databaseUrl: string): Pools {
  const open = (role: keyof Pools, max: number): pg.Pool => openPool(databaseUrl, { max, name: role, role });
  return {
    loader: open("loader", 10),
    publisher: open("publisher", 10),
    privacy: open("privacy", 6),
    activator: open("activator", 4),
  };
}

/** Runs `work` in one transaction on one connection; rolls back and rethrows when it throws. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  begin = "begin",
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(begin);
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error("rollback failed");
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

class RolledBack extends Error {}

/** Runs `work` in a transaction that is rolled back: what it would change is found out by changing it. */
export async function rehearse<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  let done: { result: T } | undefined;
  await inTransaction(pool, async (client) => {
    done = { result: await work(client) };
    throw new RolledBack();
  }).catch((error: unknown) => {
    if (!(error instanceof RolledBack)) throw error;
  });
  return (done as { result: T }).result;
}

/** `"schema"."name"`, quoted for SQL. */
export function quoteName(...parts: string[]): string {
  return parts.map((part) => pg.escapeIdentifier(part)).join(".");
}
