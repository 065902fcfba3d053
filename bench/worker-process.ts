import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { WORKER_ARGUMENTS } from "../cli/session.ts";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { endProcess, exitOf, identifyProcess } from "../stack/process.ts";

const PROFILER = fileURLToPath(new URL("./profiler.mjs", import.meta.url));

/** How much of what the worker writes is kept, for the case that it ends. */
const SAID_CHARACTERS = 4_000;

/** A worker that the bench can look into. */
export interface BenchWorker {
  resetPeak(): Promise<void>;
  /** Bytes since the last reset; null where the system does not tell. */
  peakMemory(): Promise<number | null>;
  startProfile(): Promise<void>;
  /** Writes what the worker's main thread did since the start to a `.cpuprofile`. */
  stopProfile(file: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the product's worker with the product's own arguments, and a profiler that waits in it. */
export async function startWorker(env: Record<string, string>): Promise<BenchWorker> {
  const child = spawn(process.execPath, ["--import", PROFILER, ...WORKER_ARGUMENTS], {
    cwd: PACKAGE_DIRECTORY,
    env: { ...env, MIETTE_LOG_LEVEL: "error" },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-SAID_CHARACTERS)));
  const exited = exitOf(child);
  const hear = async (wanted: string): Promise<void> => {
    const heard = new Promise<true>((resolve) => {
      const listen = (message: unknown): void => {
        if (message !== wanted) return;
        child.off("message", listen);
        resolve(true);
      };
      child.on("message", listen);
    });
    const isHeard = await Promise.race([heard, exited.then(() => false)]);
    if (!isHeard) throw new Error(`the worker ended; its last words:\n${said}`);
  };
  await hear("ready");
  const process_ = identifyProcess(child.pid!)!;
  const ask = async (message: object): Promise<void> => {
    const answer = hear("profiler done");
    child.send(message);
    await answer;
  };
  const memory = `/proc/${process_.pid}`;
  return {
    // 5 sets the peak back to what is resident now.
    resetPeak: async () => await writeFile(`${memory}/clear_refs`, "5").catch(() => undefined),
    async peakMemory() {
      const status = await readFile(`${memory}/status`, "utf8").catch(() => "");
      const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
      return kilobytes === undefined ? null : Number(kilobytes) * 1024;
    },
    startProfile: async () => await ask({ profile: "start" }),
    stopProfile: async (file) => await ask({ profile: "stop", file }),
    async stop() {
      await endProcess(process_, [["SIGTERM", 30_000]]);
      await exited;
    },
  };
}
