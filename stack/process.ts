import { type ChildProcess, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A process as it can be found again: its number alone may have been given to another program since. */
export interface ProcessIdentity {
  pid: number;
  /** When it was started, as the system tells it; equal for one process however often it is asked. */
  started: string;
}

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** How a process is asked to end: signals in turn, each with the milliseconds that it may take. */
export type EndSteps = readonly (readonly [NodeJS.Signals, number])[];

/** A server that runs and is ready. */
export interface RunningServer {
  identity: ProcessIdentity;
  /** How it is asked to end. */
  end: EndSteps;
  /** Resolves when the process has ended, for whatever reason. */
  exited: Promise<Exit>;
  /** Ends it in order, by force after a bounded wait. Resolves when it is gone. */
  stop(): Promise<void>;
}

/** The identity of a living process; null when there is none with this number. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const started = process.platform === "linux" ? startOnLinux(pid) : ps(pid, "lstart=");
  return started ? { pid, started } : null;
}

/** Whether this very process still lives. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.started === identity.started;
}

/** The command line of a living process, its words separated by spaces; an empty text when there is none. */
export function commandOf(pid: number): string {
  if (process.platform !== "linux") return ps(pid, "command=");
  return readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

/** Sends a signal to a process, or with a negative number to its group; false when there is none. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/**
 * Asks a process to end, step by step; what is left after the last step is killed with its group.
 * Resolves when it is gone. It need not be a child of this process.
 */
export async function endProcess(identity: ProcessIdentity, steps: EndSteps): Promise<void> {
  for (const [name, patience] of steps) {
    if (!isRunning(identity)) return;
    signal(identity.pid, name);
    for (const deadline = Date.now() + patience; isRunning(identity) && Date.now() < deadline;) await sleep(20);
  }
  while (isRunning(identity)) {
    if (!signal(-identity.pid, "SIGKILL")) signal(identity.pid, "SIGKILL");
    await sleep(20);
  }
}

/** Resolves with the way in which a child ends, also when it could not be started at all. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once("exit", (code, name) => resolve({ code, signal: name }));
    child.once("error", () => resolve({ code: null, signal: null }));
  });
}

/** `exit code 1` or `signal SIGKILL`, for a log line. */
export function describeExit({ code, signal: name }: Exit): string {
  return name ? `signal ${name}` : code === null ? "it could not be run" : `exit code ${code}`;
}

/** A process that has ended but was not yet waited for (state Z) counts as gone. */
function startOnLinux(pid: number): string {
  // The name in brackets may hold spaces and brackets itself; the fields after it start with the state (3rd of 52).
  const fields = readOrEmpty(`/proc/${pid}/stat`).split(") ").pop()?.split(" ") ?? [];
  return fields.length > 19 && fields[0] !== "Z" && fields[0] !== "X" ? `${bootId()}:${fields[19]}` : "";
}

/** Ticks count from the boot, so a start is told apart from one before it by the boot's id. */
function bootId(): string {
  return readOrEmpty("/proc/sys/kernel/random/boot_id").trim();
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function ps(pid: number, column: string): string {
  try {
    return execFileSync("ps", ["-o", column, "-p", String(pid)], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return "";
  }
}
