import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Client, Connection } from "@temporalio/client";
import type pg from "pg";
import { loadProject, loadSettings, loadSqlTree, PACKAGE_DIRECTORY, type Settings, TEMPORAL_FILES } from "../config.ts";
import { destinationSpecs, sourceSpecs } from "../connectors/index.ts";
import { UserError } from "../domain/errors.ts";
import type { Project } from "../domain/project.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { ownEnvironment } from "../stack/environment.ts";
import { attachStack, type Stack } from "../stack/stack.ts";
import { connectTemporal } from "../stack/temporal-connection.ts";
import { refuseUnfinished } from "../warehouse/backup/unfinished.ts";
import { createWarehouse, type WarehouseUrls } from "../warehouse/bootstrap.ts";
import { dataConverter } from "../warehouse/data-converter.ts";
import { openPool } from "../warehouse/database.ts";
import { migrate } from "../warehouse/migrate.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { claimForProject } from "../warehouse/project-claim.ts";
import { Vault } from "../warehouse/vault.ts";
import { readPasswords, writePasswordFile } from "./passwords.ts";

/**
 * How Node runs the worker. Short-lived records fill the young generation: where the two pages in work do not fit into it,
 * they are copied over and over, and a load takes twice the CPU time. Of what does outlive it, the collector lets 30%
 * gather on top of what is in use, and not several times as much: 590 MB at the peak of a load instead of 900, in the same time.
 */
export const WORKER_ARGUMENTS = [
  "--max-semi-space-size=32",
  "--heap-growing-percent=30",
  "--import",
  "tsx",
  "worker.ts",
];

/** What of the settings a worker takes with it when it starts. */
const WORKER_SETTINGS = [
  "TEMPORAL_NAMESPACE",
  "TEMPORAL_TLS",
  "TEMPORAL_TLS_SERVER_NAME",
  "TEMPORAL_API_KEY",
  ...TEMPORAL_FILES,
  "MIETTE_KEY_FOLDER",
  "MIETTE_KEY_GENERATIONS",
  "MIETTE_KMS_PROGRAM",
  "MIETTE_LOG_LEVEL",
  "MIETTE_WORKFLOW_BUNDLE",
  "MIETTE_WORKER_DEPLOYMENT",
  "MIETTE_WORKER_BUILD_ID",
];

/** Options that every command takes. */
export interface GlobalOptions {
  project?: string;
  json?: boolean;
}

/** The servers and the warehouse as they are, nothing made in it. */
export interface Servers {
  settings: Settings;
  project: Project;
  stack: Stack;
  /** The warehouse, as its owner. */
  pool: pg.Pool;
  /** Its URLs, with the passwords of the owner and of the worker's role. */
  ownerUrl: string;
  workerUrl: string;
  /** The warehouse, as the analyst, who reads the mart alone. */
  analystPool: pg.Pool;
  /** The warehouse, as who hands audiences over: reads the mart, and opens what a recipient is to get. */
  activatorPool: pg.Pool;
  /** The warehouse, as who reads the audit, receipts, consent, recipients and the record of what ran, and changes nothing. */
  auditorPool: pg.Pool;
  /** For `psql`, without a password. */
  analystUrl: string;
  /** Reads no payload: they are sealed by the vault. */
  connection: Connection;
  /** Machine-readable output is asked for. */
  json: boolean;
  graph(): Promise<Graph>;
}

/** What a command works with while the servers run. */
export interface Session extends Servers {
  client: Client;
  vault: Vault;
}

/** What starting a worker takes beside. */
interface WorkerEnvironment {
  environment: Record<string, string>;
  /** Names of the variables that the project's file asks for. */
  watched: string[];
}

/** Runs `work` with the servers up, the warehouse claimed for the project and its vault open. */
export async function withSession<T>(
  options: GlobalOptions,
  needs: { worker: boolean },
  work: (session: Session) => Promise<T>,
): Promise<T> {
  return await withServers(options, async (servers, { environment, watched }) => {
    const { settings, project, stack, pool, connection, workerUrl } = servers;
    await refuseUnfinished(pool);
    await claimForProject(pool, project.name);
    const vault = await Vault.open(pool, keyRingOf(settings));
    if (needs.worker) await startWorker(settings, stack, workerUrl, environment, watched);
    const client = new Client({
      connection,
      namespace: settings.temporalNamespace,
      dataConverter: dataConverter(pool, vault),
    });
    return await work({ ...servers, client, vault });
  });
}

/** Runs `work` with the servers up: those that run already, or started for it and stopped after. */
export async function withServers<T>(
  options: GlobalOptions,
  work: (servers: Servers, worker: WorkerEnvironment) => Promise<T>,
): Promise<T> {
  const settings = settingsOf(options);
  if (!existsSync(join(settings.projectDirectory, "miette.yaml"))) {
    throw new UserError(
      "there is no miette.yaml; name the project's folder with --project, or make one with miette init DIR",
      {
        file: settings.projectDirectory,
      },
    );
  }
  const stack = await attachStack(settings, (line) => console.error(line));
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const demo = await prepareDemoStore(settings, stack);
    const environment = { ...ownEnvironment(), ...demo };
    const watched = new Set(WORKER_SETTINGS);
    const env = namesRead(environment, watched);
    const project = await loadProject(settings.projectDirectory, {
      connectorSpecs: sourceSpecs,
      destinationSpecs,
      env,
    });
    const urls = await prepareWarehouse(settings, stack);
    const pool = openPool(urls.owner, { max: 4, name: "command" });
    closers.push(() => pool.end());
    const analystPool = openPool(urls.analyst, { max: 2, name: "analyst" });
    closers.push(() => analystPool.end());
    const activatorPool = openPool(urls.worker, { max: 2, name: "activator", role: "activator" });
    closers.push(() => activatorPool.end());
    const auditorPool = openPool(urls.owner, { max: 2, name: "auditor", role: "auditor" });
    closers.push(() => auditorPool.end());
    const connection = await connectTemporal(stack.temporalAddress, settings.temporalSecurity, (options) =>
      Connection.connect(options),
    );
    closers.push(() => connection.close());
    const servers: Servers = {
      settings,
      project,
      stack,
      pool,
      ownerUrl: urls.owner,
      workerUrl: urls.worker,
      analystPool,
      activatorPool,
      auditorPool,
      analystUrl: withoutPassword(urls.analyst),
      connection,
      json: options.json ?? false,
      graph: async () =>
        await loadProjectGraph(await loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), settings.projectDirectory), project),
    };
    return await work(servers, { environment, watched: [...watched] });
  } finally {
    await Promise.allSettled(closers.map((close) => close()));
    await stack.stop();
  }
}

/** A project named, else the one in the current folder, else the demo store. */
export function settingsOf({ project }: GlobalOptions): Settings {
  return loadSettings({ project: project ?? (existsSync("miette.yaml") ? "." : undefined) });
}

/** The demo store's own sources: its shop's database, a cluster apart from the warehouse's, and its files. */
async function prepareDemoStore(settings: Settings, stack: Stack): Promise<Record<string, string>> {
  if (settings.projectDirectory !== join(PACKAGE_DIRECTORY, "demo")) return {};
  const { prepareDemo } = await import("../demo/prepare.ts");
  const shopDatabaseUrl = await stack.startCluster({
    name: "the demo's shop",
    folder: "demo-shop",
    port: settings.demoPostgresPort,
    portVariable: "MIETTE_DEMO_PG_PORT",
  });
  const { environment } = await prepareDemo({ directory: join(settings.home, "demo"), shopDatabaseUrl });
  return { ...environment };
}

async function prepareWarehouse(settings: Settings, stack: Stack): Promise<WarehouseUrls> {
  if (stack.superuserUrl !== null) {
    const urls = await createWarehouse(stack.superuserUrl, await readPasswords(settings.home));
    await writePasswordFile(settings.home, new URL(urls.analyst));
    return urls;
  }
  const owner = settings.databaseUrl as string;
  await migrate(owner);
  if (settings.analystDatabaseUrl === null) {
    throw new UserError(
      "is needed beside DATABASE_URL: the URL of a role that may only read the mart, such as analyst",
      { key: "ANALYST_DATABASE_URL" },
    );
  }
  return { owner, worker: owner, analyst: settings.analystDatabaseUrl };
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  shown.password = "";
  return shown.href;
}

/** The environment, which notes the names that are asked of it. */
function namesRead(environment: Record<string, string>, names: Set<string>): Record<string, string> {
  return new Proxy(environment, {
    get(target, name) {
      if (typeof name === "string") names.add(name);
      return Reflect.get(target, name) as unknown;
    },
  });
}

/** Paths are relative to the folder of this command, which is not the worker's. */
function absolutePaths(environment: Record<string, string>, names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (environment[name] ? [[name, resolve(environment[name])]] : [])));
}

async function startWorker(
  settings: Settings,
  stack: Stack,
  workerUrl: string,
  environment: Record<string, string>,
  watched: string[],
): Promise<void> {
  const outdated = await stack.startProgram("worker", {
    watched,
    command: process.execPath,
    args: WORKER_ARGUMENTS,
    cwd: PACKAGE_DIRECTORY,
    env: {
      ...environment,
      ...absolutePaths(environment, TEMPORAL_FILES),
      MIETTE_HOME: settings.home,
      MIETTE_PROJECT: settings.projectDirectory,
      // As the settings read them in the folder of this command.
      MIETTE_KEY_FOLDER: settings.keyFolder,
      MIETTE_KMS_PROGRAM: settings.kmsProgram ?? "",
      MIETTE_WORKFLOW_BUNDLE: settings.workflowBundle ?? "",
      DATABASE_URL: workerUrl,
      DATABASE_URL_FILE: "",
      TEMPORAL_ADDRESS: stack.temporalAddress,
    },
    log: "worker.log",
    readyWithin: 60_000,
  });
  if (outdated.length > 0) {
    console.error(
      `The running worker has other values of ${outdated.join(", ")} than this command; miette down, and the next command starts it with these.`,
    );
  }
}
