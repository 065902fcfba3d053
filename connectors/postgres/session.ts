import pg from "pg";
import { ConnectorError, InvalidConfig, Rejected, Unauthorized, Unavailable } from "../errors.ts";

/** Marks our connections in pg_stat_activity; a sync doesn't wait for others of its kind, since they never write. */
export const APPLICATION_NAME = "miette source";

const CONNECT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 10_000;
/** The server's own timeout comes first and says why; this one is for a server that answers nothing at all. */
const SILENCE_MS = 2_000;

/** Events of a connection whose server wants a password; without one the client fails with an error of its own, without a code. */
const PASSWORD_REQUESTS = ["authenticationSASL", "authenticationMD5Password", "authenticationCleartextPassword"];

/** A value as the source writes it, or null. */
export type Text = string | null;

/** One connection to the source, in which every statement has a time limit and ends when `signal` says so. */
export interface Session {
  /** Where it is connected to, for messages: `host:port/database`. */
  place: string;
  /** Every value comes as text. */
  query(text: string, values?: unknown[]): Promise<Text[][]>;
  /**
   * Opens a read-only transaction over one snapshot, in which values have one text form whatever the role's settings are.
   * Settings are the transaction's own, so that a connection pooler in between hands none of them to others.
   */
  begin(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Connects to the database of a URL.
 * @param options.timeoutSeconds how long one statement may take
 * @throws InvalidConfig, Unauthorized, Unavailable
 */
export async function openSession(
  url: string,
  options: { signal: AbortSignal; timeoutSeconds: number },
): Promise<Session> {
  const { signal, timeoutSeconds } = options;
  signal.throwIfAborted();
  const client = createClient(url, Math.min(CONNECT_TIMEOUT_MS, timeoutSeconds * 1000));
  const place = `${client.host}:${client.port}/${client.database ?? ""}`;
  // An idle connection that breaks is told by the next statement; without a listener it would end the process.
  client.on("error", () => undefined);
  let wasAskedForPassword = false;
  for (const request of PASSWORD_REQUESTS) client.connection.once(request, () => (wasAskedForPassword = true));
  let pid: string | undefined;
  const onAbort = () => {
    client.connection.stream.destroy();
    if (pid !== undefined) void cancelBackend(url, pid);
  };
  signal.addEventListener("abort", onAbort, { once: true });

  const query = async (text: string, values: unknown[] = []): Promise<Text[][]> => {
    const silence = setTimeout(() => client.connection.stream.destroy(), timeoutSeconds * 1000 + SILENCE_MS);
    try {
      const result = await client.query<Text[]>({ text, values, rowMode: "array" });
      return result.rows;
    } finally {
      clearTimeout(silence);
    }
  };
  const close = async () => {
    signal.removeEventListener("abort", onAbort);
    // A server that does not even answer a goodbye must not hold up the end.
    const patience = setTimeout(() => client.connection.stream.destroy(), 1000);
    await client.end().catch(() => undefined);
    clearTimeout(patience);
  };

  try {
    await client.connect();
    pid = (await query("select pg_backend_pid()"))[0]?.[0] ?? undefined;
  } catch (error) {
    await close();
    if (signal.aborted) throw signal.reason;
    if (codeOf(error) !== undefined) throw explain(error, place);
    if (wasAskedForPassword && !client.password) {
      throw new Unauthorized(`${place} asks for a password, and "url" gives none`);
    }
    const tls = /[?&]ssl/.test(url) ? `; if it speaks no TLS, take sslmode out of "url"` : "";
    throw new Unavailable(`${place} broke off or did not answer in time${tls}`);
  }
  return {
    place,
    query,
    begin: async () => {
      await query("begin transaction isolation level repeatable read read only");
      await query(
        `select set_config(wanted.name, wanted.setting, true)
         from (values ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'iso_8601'),
           ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('lock_timeout', $1), ('statement_timeout', $2),
           ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0')) as wanted (name, setting)
         join pg_settings using (name)`,
        [String(LOCK_TIMEOUT_MS), String(timeoutSeconds * 1000)],
      );
    },
    close,
  };
}

function createClient(url: string, connectionTimeoutMillis: number): pg.Client {
  // As libpq reads sslmode: `require` encrypts, `verify-full` also checks who answers.
  const compatible = `${url}${url.includes("?") ? "&" : "?"}uselibpqcompat=true`;
  try {
    return new pg.Client({
      connectionString: compatible,
      application_name: APPLICATION_NAME,
      connectionTimeoutMillis,
      keepAlive: true,
      types: { getTypeParser: () => (value: unknown) => value },
    });
  } catch {
    throw new InvalidConfig(
      `"url" is no Postgres URL, or names a certificate file that cannot be read; write it as postgres://user:password@host:5432/database`,
    );
  }
}

/** A closed socket alone goes unnoticed by a server that is computing, so the statement is cancelled as well. */
async function cancelBackend(url: string, pid: string): Promise<void> {
  const client = createClient(url, CONNECT_TIMEOUT_MS);
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("select pg_cancel_backend($1)", [pid]);
  } catch {
    // The server that is out of reach has its own statement timeout.
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * The class that an error stands for, by its code alone. Neither message nor cause of the original is kept: Postgres
 * quotes values in its errors.
 * @param place where it happened: a table, or `host:port/database`
 */
export function explain(error: unknown, place: string): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const code = codeOf(error);
  if (code === undefined) return new Unavailable(`${place}: the connection broke off or did not answer in time`);
  if (!SQLSTATE.test(code)) return explainNetwork(code, place);
  const known = BY_STATE[code] ?? BY_STATE[code.slice(0, 2)];
  return known?.(place, code) ?? new Rejected(`${place} cannot be read: the source answers with SQLSTATE ${code}`);
}

/** The statement failed, the connection stands: not a broken socket, nor a server that ends its sessions. */
export function isStatementError(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && SQLSTATE.test(code) && !/^(08|57P)/.test(code);
}

/** No SQLSTATE begins with E, as the codes of Node's sockets do (EPIPE has five letters, too). */
const SQLSTATE = /^[0-9A-DF-Z][0-9A-Z]{4}$/;

function explainNetwork(code: string, place: string): ConnectorError {
  return /^(E[A-Z]+|EAI_.*)$/.test(code)
    ? new Unavailable(`${place} cannot be reached (${code})`)
    : new Rejected(
        `${place} shows a certificate that is not trusted (${code}); name its authority with sslrootcert in "url"`,
      );
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === "string") return code;
  // A host with several addresses fails with one error for each.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : undefined;
}

const unavailable = (what: string) => (place: string, code: string) => new Unavailable(`${place} ${what} (${code})`);
const rejected = (what: string) => (place: string, code: string) => new Rejected(`${place} ${what} (${code})`);

/** By SQLSTATE, or by its class. */
const BY_STATE: Record<string, (place: string, code: string) => ConnectorError> = {
  "08": unavailable("broke off"),
  "28": (place) => new Unauthorized(`${place} refuses the credentials of "url"; correct its user and password`),
  "3D": (place) => new InvalidConfig(`${place} does not exist; correct the database in "url"`),
  "25": unavailable("ended the transaction"),
  "25006": rejected("cannot be read without writing; read a table, or a view that only reads"),
  "40": unavailable("was interrupted by another transaction"),
  "42501": (place) => new Unauthorized(`${place} may not be read by the user of "url"; grant it select`),
  "42P01": rejected(`or a table that it reads is gone; correct "table", or run miette discover`),
  "42703": rejected("lost a column while it was read; run miette discover"),
  "42883": (place) =>
    new InvalidConfig(`${place} cannot be sorted by its key and cursor; name columns that have an order`),
  "53": unavailable("is short of connections, memory or disk"),
  "55P03": unavailable("is locked"),
  "57": unavailable("was interrupted or took too long"),
  "58": unavailable("has trouble with its files"),
  HV: unavailable("is a foreign table whose server fails"),
};
