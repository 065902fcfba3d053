import { spawn } from "node:child_process";
import { CodedError } from "../domain/errors.ts";
import { openLog } from "./logs.ts";
import { describeExit, type EndSteps, endProcess, exitOf, identifyProcess, type RunningServer } from "./process.ts";

/** A program of ours that runs beside the servers: the worker. */
export interface ProcessOptions {
  command: string;
  args: string[];
  /** Absolute path. */
  cwd: string;
  /** Its whole environment. */
  env: Record<string, string>;
  /** Names of the variables of which a command should know whether a program that runs already has other values. */
  watched: string[];
  /** Folder of its log, and the log's name. */
  logs: string;
  log: string;
  /** Milliseconds within which it sends the message `ready` (`process.send("ready")`); null: it sends none. */
  readyWithin: number | null;
}

/** A worker lets its activities end; its own limits are shorter than this. */
const END: EndSteps = [["SIGTERM", 30_000]];

/**
 * Starts a program in a process group of its own, so that a Ctrl-C at the terminal does not reach it. When its
 * supervisor dies, a Node program sees the event `disconnect` and has to end itself.
 */
export async function startProgram(name: string, options: ProcessOptions): Promise<RunningServer> {
  const { command, args, cwd, env, readyWithin } = options;
  const log = await openLog(options.logs, options.log);
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", log.fd, log.fd, "ipc"] });
  const exited = exitOf(child);
  const isReady = new Promise<boolean>((resolve) => {
    child.on("message", (message) => message === "ready" && resolve(true));
    void exited.then(() => resolve(false));
    if (readyWithin === null) child.once("spawn", () => resolve(true));
    else setTimeout(() => resolve(false), readyWithin).unref();
  });
  await log.close();
  const identity = child.pid === undefined ? null : identifyProcess(child.pid);
  if (!identity || !(await isReady)) {
    if (identity) await endProcess(identity, END);
    const how = describeExit(await exited);
    const message = `${name} ended with ${how} while starting; its log ${log.path} tells why.`;
    throw new CodedError("internal", message, { retryable: true });
  }
  return { identity, end: END, exited, stop: () => endProcess(identity, END) };
}
