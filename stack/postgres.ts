import { spawn } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "../domain/errors.ts";
import { postgresAccount } from "./account.ts";
import { endOrphans, placeData, prepareCluster } from "./cluster.ts";
import { serverEnvironment } from "./environment.ts";
import { openLog } from "./logs.ts";
import { findPostgresPrograms } from "./postgres-programs.ts";
import { LOOPBACK, requireFreePort } from "./ports.ts";
import { describeExit, type EndSteps, endProcess, exitOf, identifyProcess, type RunningServer } from "./process.ts";

/** What Postgres keeps of its files: an eighth of the memory, since other programs live here too; 1 GB holds a million events. */
const BUFFERS_MB = Math.min(1_024, Math.floor(totalmem() / 8 / 2 ** 20));

/** A Postgres cluster of one home. */
export interface PostgresOptions {
  /** What it is, in messages: `the warehouse`. */
  name: string;
  /** Absolute path of its data; a link when they have to lie elsewhere. Its password lies beside, in `….password`. */
  directory: string;
  port: number;
  /** The environment variable that changes the port, for the message when it is taken. */
  portVariable: string;
  /** Folder of its log. */
  logs: string;
  /** A throwaway cluster does not wait for the disk: a power cut may cost it, the end of a process does not. */
  isThrowaway?: boolean;
}

/** A Postgres that accepts connections. */
export interface PostgresServer extends RunningServer {
  /** Superuser URL without a database. Holds the password. */
  url: string;
}

/** SIGINT: fast shutdown, which writes a checkpoint. SIGQUIT: at once; the next start recovers from the log. */
const END: EndSteps = [
  ["SIGINT", 30_000],
  ["SIGQUIT", 5_000],
];

/** Replaying a large log after a crash may take minutes; a server that lives is given this long. */
const START_PATIENCE = 300_000;

/**
 * Makes the cluster if there is none, mends what a crash left, starts Postgres and waits until it accepts connections.
 * Throws UserErrors (a taken port, no account to run as, data of another version) and the coded error
 * `warehouse_unavailable` when Postgres ends while starting.
 *
 * @param say called with one sentence when something was mended that a person should know
 */
export async function startPostgres(options: PostgresOptions, say: (line: string) => void): Promise<PostgresServer> {
  await mkdir(dirname(options.directory), { recursive: true });
  const account = await postgresAccount(options.directory);
  const programs = await findPostgresPrograms(account);
  const data = await placeData(options.directory, account);
  await endOrphans(data, END);
  await requireFreePort(options.port, options.portVariable, `Postgres (${options.name})`);
  const password = await prepareCluster(options, data, programs, account, say);

  const log = await openLog(options.logs, `${options.directory.split("/").pop()}.log`);
  const child = spawn(programs.postgres, ["-D", data, ...parameters(options)], {
    cwd: "/",
    detached: true,
    env: serverEnvironment(),
    stdio: ["ignore", log.fd, log.fd],
    ...account,
  });
  const exited = exitOf(child);
  await log.close();
  const identity = child.pid === undefined ? null : identifyProcess(child.pid);
  if (!identity || !(await becomesReady(data, identity.pid, exited))) {
    if (identity) await endProcess(identity, END);
    const how = describeExit(await exited);
    const message = `Postgres (${options.name}) ended with ${how} while starting; its log ${log.path} tells why.`;
    throw new CodedError("warehouse_unavailable", message, { retryable: true });
  }
  return {
    identity,
    end: END,
    url: `postgres://postgres:${password}@${LOOPBACK}:${options.port}`,
    exited,
    stop: () => endProcess(identity, END),
  };
}

/**
 * With room for it, and looked at a hundred times a second, what a build writes goes to the disk by the log's own writer, on the
 * other processor, and not by the session that is at work: 10,000 new links took 0.77 s instead of 1.05.
 */
const LOG_WRITER = { wal_buffers: "64MB", wal_writer_delay: "10ms" };

/**
 * Postgres quotes values in its errors, so errors of statements are not logged at all: `log` stands above `error`
 * in the order of the server's log. What is left (start, stop, crash, refused logins) holds no row.
 */
function parameters({ port, isThrowaway }: PostgresOptions): string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: LOOPBACK,
    port,
    unix_socket_directories: "",
    max_connections: 200,
    max_prepared_transactions: 0,
    timezone: "UTC",
    log_timezone: "UTC",
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    log_statement: "none",
    log_min_duration_statement: -1,
    log_min_duration_sample: -1,
    log_parameter_max_length: 0,
    log_parameter_max_length_on_error: 0,
    // What it reads is mostly in the system's cache, which its own readers of PG 18 reach more slowly: 220 ms against 155.
    io_method: "sync",
    shared_buffers: `${BUFFERS_MB}MB`,
    max_wal_size: "2GB",
    // Nobody replicates this server, and what a build computes is then written once instead of twice.
    wal_level: "minimal",
    max_wal_senders: 0,
    ...(isThrowaway ? { fsync: "off", full_page_writes: "off" } : LOG_WRITER),
  };
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** The postmaster writes its state into the 8th line of its pid file, as `pg_ctl` reads it. */
async function becomesReady(data: string, pid: number, exited: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void exited.then(() => (ended = true));
  for (const deadline = Date.now() + START_PATIENCE; !ended && Date.now() < deadline;) {
    const lines = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
    if (Number(lines[0]) === pid && lines[7]?.trim() === "ready") return true;
    await sleep(20);
  }
  return false;
}
