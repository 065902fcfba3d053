import type {} from "vitest";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { freePort } from "../stack/ports.ts";
import { startPostgres } from "../stack/postgres.ts";
import { findTemporal } from "../stack/temporal-program.ts";
import { startTemporal } from "../stack/temporal.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Superuser URL of the suite's Postgres 18, without a database. */
    postgresUrl: string;
    /** `host:port` of the suite's Temporal server; its namespace is `default`. */
    temporalAddress: string;
  }
}

/** Starts the suite's servers once; every test file makes a database and task queues of its own in them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), "miette-test-"));
  await chmod(home, 0o755);
  const logs = join(home, "logs");
  const [postgres, temporal] = await Promise.all([
    startPostgres({
      name: "the tests",
      directory: join(home, "postgres"),
      port: await freePort(),
      portVariable: "MIETTE_PG_PORT",
      database: "miette",
      logs,
      throwaway: true,
    }),
    startTests(logs),
  ]);
  project.provide("postgresUrl", postgres.url);
  project.provide("temporalAddress", temporal.address);
  return async () => {
    await Promise.all([postgres.stop(), temporal.stop()]);
    await rm(home, { recursive: true, force: true });
  };
}

async function startTests(logs: string): Promise<{ address: string; stop(): Promise<void> }> {
  const program = await findTemporal({
    path: process.env.PATH ?? "",
    cache: join(homedir(), ".cache", "miette"),
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  const port = await freePort();
  const { stop } = await startTemporal({ program, port, uiPort: null, database: null, logs });
  return { address: `127.0.0.1:${port}`, stop };
}
