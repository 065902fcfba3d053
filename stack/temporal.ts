import { spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { connect } from "node:http2";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "../domain/errors.ts";
import { serverEnvironment } from "./environment.ts";
import { openLog } from "./logs.ts";
import { LOOPBACK, requireFreePort } from "./ports.ts";
import { describeExit, type EndSteps, endProcess, exitOf, identifyProcess, type RunningServer } from "./process.ts";

/** A Temporal development server of one home. */
export interface TemporalOptions {
  port: number;
  /** Port of the web interface; null: none. */
  uiPort: number | null;
  /** Absolute path of its database; null: in memory, gone with the server. */
  database: string | null;
  /** Folder of its log. */
  logs: string;
}

/** A Temporal server that serves. */
export interface TemporalServer extends RunningServer {
  /** `host:port`. */
  url: string;
  uiUrl: string | null;
}

/** What runs are found by in the UI. Names and kinds are written into histories' visibility in the clear. */
export const SEARCH_ATTRIBUTES = {
  MietteSource: "Keyword",
  MietteStream: "Keyword",
  MietteKind: "Keyword",
  MietteRowsLoaded: "Int",
  MietteRowsRejected: "Int",
} as const;

const END: EndSteps = [["SIGTERM", 10_000]];

/** Ready in 0.2 s here; opening a large database on a slow disk takes longer. */
const START_PATIENCE = 60_000;

/**
 * Starts a Temporal server with the namespace `default` and waits until it serves. Throws a UserError for a taken
 * port and the coded error `temporal_unavailable` when the server ends while starting.
 *
 * @param program absolute path of `temporal`
 */
export async function startTemporal(program: string, options: TemporalOptions): Promise<TemporalServer> {
  const { port, uiPort, database, logs } = options;
  await requireFreePort(port, "MIETTE_TEMPORAL_PORT", "Temporal");
  if (uiPort !== null) await requireFreePort(uiPort, "MIETTE_UI_PORT", "Temporal's web interface");
  const args = ["server", "start-dev", "--ip", LOOPBACK, "--port", String(port), "--log-level", "error"];
  args.push(...(uiPort === null ? ["--headless"] : ["--ui-port", String(uiPort)]));
  if (database !== null) {
    // Histories are their owner's alone; SQLite's companions of the file come and go, so the folder is closed.
    await mkdir(dirname(database), { recursive: true, mode: 0o700 });
    args.push("--db-filename", database);
  }
  for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES)) args.push("--search-attribute", `${name}=${type}`);

  const log = await openLog(logs, "temporal.log");
  const stdio: StdioOptions = ["ignore", log.fd, log.fd];
  const child = spawn(program, args, { cwd: "/", detached: true, env: serverEnvironment(), stdio });
  const exited = exitOf(child);
  await log.close();
  const identity = child.pid === undefined ? null : identifyProcess(child.pid);
  if (!identity || !(await becomesReady(`${LOOPBACK}:${port}`, exited))) {
    if (identity) await endProcess(identity, END);
    const how = describeExit(await exited);
    const message = `Temporal ended with ${how} while starting; its log ${log.path} tells why.`;
    throw new CodedError("temporal_unavailable", message, { retryable: true });
  }
  const url = `${LOOPBACK}:${port}`;
  const uiUrl = uiPort === null ? null : `http://${LOOPBACK}:${uiPort}`;
  return { url, uiUrl, identity, end: END, exited, stop: () => endProcess(identity, END) };
}

async function becomesReady(address: string, exited: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void exited.then(() => (ended = true));
  for (const deadline = Date.now() + START_PATIENCE; !ended && Date.now() < deadline;) {
    if (await isServing(address)) return true;
    await sleep(50);
  }
  return false;
}

/**
 * Whether the Temporal frontend at `host:port` says that it serves: a gRPC health check, 14 bytes by hand, because
 * loading a Temporal client for it costs 300 ms of every command's start.
 */
export async function isServing(address: string): Promise<boolean> {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const service = Buffer.from("temporal.api.workflowservice.v1.WorkflowService");
    // A gRPC frame (flag, 4 bytes of length) around a message whose field 1 is the service's name.
    const message = Buffer.concat([Buffer.from([0x0a, service.length]), service]);
    stream.setTimeout(2_000, () => stream.close());
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(stream, "close");
    // The answer's field 1 is the state, of which 1 is SERVING.
    return Buffer.concat(chunks)
      .subarray(5)
      .equals(Buffer.from([0x08, 0x01]));
  } catch {
    return false;
  } finally {
    session.destroy();
  }
}
