import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { ownEnvironment } from "../stack/environment.ts";

/** The product's worker as a process of its own, which may be killed. */
export interface WorkerProcess {
  /** Kills it, with SIGKILL, as soon as it says that an activity has done its work; resolves when it is gone. */
  killAfter(activity: string): Promise<void>;
  stop(): Promise<void>;
}

/** @param environment its servers, project and keys */
export async function startWorker(environment: Record<string, string>): Promise<WorkerProcess> {
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", "worker.ts"], {
    cwd: PACKAGE_DIRECTORY,
    env: { ...ownEnvironment(), ...environment },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout! });
  await Promise.race([
    once(child, "message"),
    exited.then(() => Promise.reject(new Error("the worker ended while starting"))),
  ]);
  return {
    async killAfter(activity) {
      const said = `"activity":"${activity}"`;
      // The line comes when the work is done, before the server hears of it.
      lines.on("line", (line) => {
        if (line.includes(said) && line.includes('"msg":"done"')) child.kill("SIGKILL");
      });
      await exited;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await exited;
    },
  };
}
