import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inject } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { ownEnvironment } from "../stack/environment.ts";
import { freePort } from "../stack/ports.ts";
import { makeSuiteFolder } from "./servers.ts";

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A folder with a project and a home of its own, and `miette` as a person has it: a process per command. */
export interface CommandLine {
  /** Absolute path of the project's folder. */
  project: string;
  home: string;
  /** URL of the warehouse as its owner; once the servers have been up. */
  warehouseUrl(): Promise<string>;
  /** Writes files of the project, by their path in it. */
  write(files: Record<string, string | Buffer>): Promise<void>;
  /** `miette …`. @param environment what it finds in its environment besides */
  miette(args: string[], environment?: Record<string, string>): Promise<Ended>;
  temporalAddress: string;
  /** A further worker beside the home's own, once the servers have been up; resolves when it is ready. */
  startWorker(environment?: Record<string, string>): Promise<ChildProcess>;
  /** Stops the servers and removes everything. */
  remove(): Promise<void>;
}

export async function createCommandLine(): Promise<CommandLine> {
  const folder = await makeSuiteFolder();
  const [project, home] = [join(folder, "project"), join(folder, "home")];
  await mkdir(project);
  const [postgresPort, temporalPort, uiPort] = [await freePort(), await freePort(), await freePort()];
  const { DATABASE_URL: _url, TEMPORAL_ADDRESS: _address, ...inherited } = ownEnvironment();
  const own = {
    MIETTE_HOME: home,
    MIETTE_PROJECT: project,
    MIETTE_PG_PORT: String(postgresPort),
    MIETTE_TEMPORAL_PORT: String(temporalPort),
    MIETTE_UI_PORT: String(uiPort),
    MIETTE_WORKFLOW_BUNDLE: inject("workflowBundle"),
  };

  const miette: CommandLine["miette"] = async (args, environment = {}) => {
    const child = spawn(process.execPath, ["--import", "tsx", "cli.ts", "--project", project, ...args], {
      cwd: PACKAGE_DIRECTORY,
      env: { ...inherited, ...own, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    const code = await new Promise<number | null>((resolve) => void child.once("close", resolve));
    return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
  };

  const urlOf = async (login: "miette" | "worker"): Promise<string> => {
    const passwords = JSON.parse(await readFile(join(home, "passwords.json"), "utf8")) as Record<string, string>;
    return `postgres://${login}:${passwords[login === "miette" ? "owner" : login]}@127.0.0.1:${postgresPort}/miette`;
  };
  const temporalAddress = `127.0.0.1:${temporalPort}`;

  return {
    project,
    home,
    miette,
    warehouseUrl: () => urlOf("miette"),
    temporalAddress,
    async startWorker(environment = {}) {
      const servers = { DATABASE_URL: await urlOf("worker"), TEMPORAL_ADDRESS: temporalAddress };
      const child = spawn(process.execPath, ["--import", "tsx", "worker.ts"], {
        cwd: PACKAGE_DIRECTORY,
        env: { ...inherited, ...own, ...servers, ...environment },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      await Promise.race([
        once(child, "message"),
        once(child, "exit").then(() => Promise.reject(new Error("the worker ended while starting"))),
      ]);
      return child;
    },
    async write(files) {
      for (const [name, content] of Object.entries(files)) {
        await mkdir(dirname(join(project, name)), { recursive: true });
        await writeFile(join(project, name), content);
      }
    },
    async remove() {
      await miette(["down"]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @throws Error with what the command said where it did not end with 0 */
export function succeeded(ended: Ended): Ended {
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}: ${ended.stderr}`);
  return ended;
}

/** What a command with `--json` printed. @throws Error where it did not end with 0 */
export function jsonOf<T>(ended: Ended): T {
  return JSON.parse(succeeded(ended).stdout) as T;
}
