import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Connection } from "@temporalio/client";
import pg from "pg";
import { loadSettings, PACKAGE_DIRECTORY, type Settings } from "../config.ts";
import { ownEnvironment } from "../stack/environment.ts";
import { freePort } from "../stack/ports.ts";
import { attachStack, stopStack } from "../stack/stack.ts";
import type { BenchOptions } from "./bench.ts";

/** Servers of the bench's own, set as `npm start` sets them: Postgres waits for the disk, Temporal keeps a file. */
export interface Servers {
  /** The environment of a process of this home. */
  environment: Record<string, string>;
  settings: Settings;
  /** As superuser, in the database `postgres`. */
  admin: pg.Client;
  superuserUrl: string;
  temporal: Connection;
  close(): Promise<void>;
}

export async function openServers({ folder, say }: Pick<BenchOptions, "folder" | "say">): Promise<Servers> {
  const {
    DATABASE_URL: _warehouse,
    TEMPORAL_ADDRESS: _temporal,
    MIETTE_KEY_FOLDER: _keys,
    ...inherited
  } = ownEnvironment();
  const environment: Record<string, string> = {
    ...inherited,
    MIETTE_HOME: join(folder, "home"),
    MIETTE_PG_PORT: String(await freePort()),
    MIETTE_TEMPORAL_PORT: String(await freePort()),
    MIETTE_UI_PORT: String(await freePort()),
  };
  // As in production: what webpack leaves behind in a worker that bundles by itself is no part of what is measured.
  const bundle = join(folder, "workflows.js");
  await promisify(execFile)(process.execPath, ["--import", "tsx", "bundle.ts", bundle], { cwd: PACKAGE_DIRECTORY });
  environment["MIETTE_WORKFLOW_BUNDLE"] = bundle;
  const settings = loadSettings({ env: environment });
  const stack = await attachStack(settings, say);
  const superuserUrl = stack.superuserUrl!;
  const admin = new pg.Client({ connectionString: superuserUrl });
  await admin.connect();
  const connection = await Connection.connect({ address: stack.temporalAddress });
  return {
    environment: { ...environment, TEMPORAL_ADDRESS: stack.temporalAddress },
    settings,
    admin,
    superuserUrl,
    temporal: connection,
    async close() {
      await connection.close();
      await admin.end();
      await stack.stop();
      await stopStack(settings.home);
    },
  };
}
