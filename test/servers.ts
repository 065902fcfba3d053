import type {} from "vitest";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { ownEnvironment } from "../stack/environment.ts";
import { freePort } from "../stack/ports.ts";
import { identifyProcess, isRunning, type ProcessIdentity } from "../stack/process.ts";
import { attachStack, stopStack } from "../stack/stack.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Superuser URL of the suite's Postgres 18, without a database. */
    postgresUrl: string;
    /** `host:port` of the suite's Temporal server; its namespace is `default`. */
    temporalAddress: string;
    /** File of the bundled workflows, as production has it: webpack needs seconds, and most test files have workers. */
    workflowBundle: string;
  }
}

const PREFIX = "miette-test-";

/**
 * A folder that the next run of the suite removes when this one is killed, and stops the servers of the home in it. As
 * root, Postgres runs as another account, which has to enter it.
 */
export async function makeSuiteFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  await chmod(folder, 0o755);
  await writeFile(join(folder, "suite.json"), JSON.stringify(identifyProcess(process.pid)));
  return folder;
}

/**
 * Starts the suite's servers once; every test file makes databases and task queues of its own in them. When the suite
 * is killed, their supervisor ends them, and the next run removes what is left.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const folder = await makeSuiteFolder();
  const settings = {
    home: join(folder, "home"),
    postgresPort: await freePort(),
    temporalPort: await freePort(),
    uiPort: await freePort(),
    databaseUrl: null,
    temporalAddress: null,
    isThrowaway: true,
  };
  const workflowBundle = join(folder, "workflows.js");
  const bundled = promisify(execFile)(process.execPath, ["--import", "tsx", "bundle.ts", workflowBundle], {
    cwd: PACKAGE_DIRECTORY,
    env: ownEnvironment(),
  });
  const stack = await attachStack(settings, (line) => process.stderr.write(`${line}\n`));
  await bundled;
  project.provide("workflowBundle", workflowBundle);
  project.provide("postgresUrl", stack.superuserUrl!.replace(/\/postgres$/, ""));
  project.provide("temporalAddress", stack.temporalAddress);
  return async () => {
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  };
}

async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const text = await readFile(join(tmpdir(), name, "suite.json"), "utf8").catch(() => null);
    if (text === null || isRunning(JSON.parse(text) as ProcessIdentity)) continue;
    await stopStack(join(tmpdir(), name, "home"));
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
