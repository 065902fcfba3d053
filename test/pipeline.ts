import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, Connection } from "@temporalio/client";
import { NativeConnection, Runtime, Worker } from "@temporalio/worker";
import type { DataConverter } from "@temporalio/common";
import type pg from "pg";
import { pino, type Logger } from "pino";
import { inject } from "vitest";
import { loggedActivities } from "../activities/activity-log.ts";
import { boundedAttempts } from "../activities/attempts.ts";
import { errorsAsCodes } from "../activities/errors-as-codes.ts";
import { createActivities } from "../activities/index.ts";
import { declareField, loadProject, loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import type { Source } from "../connectors/connector.ts";
import { destinations, destinationSpecs, sources } from "../connectors/index.ts";
import { BUILD_WORKFLOW_ID, RUN_WORKFLOW_ID, syncWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { BuildInput, BuildReport, RunReport, SyncReport, SyncSourceInput } from "../domain/runs.ts";
import type { Project } from "../domain/project.ts";
import { tracedBundle, type Tracing } from "../telemetry/tracing.ts";
import type { Vault } from "../warehouse/vault.ts";
import { dataConverter } from "../warehouse/data-converter.ts";
import { openPools } from "../warehouse/database.ts";
import { createTestDatabase } from "./database.ts";
import { openTestVault, testKeys } from "./landing.ts";

/** Real data that is not in the repository; tests that need it are skipped, and say so, where it is absent. */
export const SHARED_DATA = resolve(
  process.env["MIETTE_SHARED_DATA"] ?? join(dirname(fileURLToPath(import.meta.url)), "../../shared/data"),
);
export const HAS_SHARED_DATA = existsSync(SHARED_DATA);

/** As test/servers.ts provides the suite's. */
export interface Servers {
  postgresUrl: string;
  temporalAddress: string;
}

/** A project's pipeline on a warehouse and a Temporal namespace of its own. */
export interface Pipeline {
  pool: pg.Pool;
  databaseUrl: string;
  vault: Vault;
  client: Client;
  namespace: string;
  dataConverter: DataConverter;
  project(): Promise<Project>;
  run(input?: { full?: boolean }): Promise<RunReport>;
  sync(input: SyncSourceInput): Promise<SyncReport>;
  build(input?: BuildInput): Promise<BuildReport>;
  close(): Promise<void>;
}

const silent = pino({ level: "silent" });
let isSilent = false;

/** The SDK's runtime is one for the process, and takes its logger once. */
export function silenceWorkers(): void {
  if (isSilent) return;
  const quiet = (): void => undefined;
  Runtime.install({ logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet } });
  isSilent = true;
}

/** A Temporal namespace that nobody else uses, so that workflow ids of test files do not meet. */
export async function createNamespace(
  address: string = inject("temporalAddress"),
): Promise<{ address: string; namespace: string }> {
  const namespace = `t-${randomBytes(6).toString("hex")}`;
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await addSearchAttributes(connection, namespace);
  await connection.close();
  return { address, namespace };
}

/** What workflows write down of themselves, which a server has to know before. */
export async function addSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const [KEYWORD, INT] = [2, 3];
  await connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: {
      MietteSource: KEYWORD,
      MietteStream: KEYWORD,
      MietteKind: KEYWORD,
      MietteRowsLoaded: INT,
      MietteRowsRejected: INT,
    },
  });
}

/**
 * @param directory the project's folder
 * @param env fills the `${…}` of its files
 * @param sameKeysAs another pipeline's warehouse, whose keys it takes over
 * @param options.log who gets its log lines
 * @param options.tracing who gets its traces
 * @param options.servers other servers than the suite's
 * @param options.temporal another Temporal server, with the namespace to be in
 * @param options.connectors further ones, by the name that the project gives them
 */
export async function openPipeline(
  directory: string,
  env: Record<string, string> = {},
  sameKeysAs?: pg.Pool,
  options: {
    log?: Logger;
    tracing?: Tracing;
    servers?: Servers;
    temporal?: { address: string; namespace: string };
    connectors?: Record<string, Source<never>>;
  } = {},
): Promise<Pipeline> {
  silenceWorkers();
  const { log = silent, tracing, servers } = options;
  const database = await createTestDatabase(servers?.postgresUrl);
  const vault = await openTestVault(database.pool, sameKeysAs);
  const { address, namespace } = options.temporal ?? (await createNamespace(servers?.temporalAddress));
  const connectors: Record<string, Source<never>> = { ...sources, ...options.connectors };
  const connectorSpecs = Object.fromEntries(Object.entries(connectors).map(([name, { spec }]) => [name, spec]));
  const pools = openPools(database.url);
  const converter = dataConverter(pools.loader, vault);
  const connection = await NativeConnection.connect({ address });
  const project = (): Promise<Project> =>
    loadProject(directory, { connectorSpecs, destinationSpecs, env: { MIETTE_SHARED_DATA: SHARED_DATA, ...env } });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: TASK_QUEUE,
    workflowBundle: { codePath: tracing ? tracedBundle(inject("workflowBundle")) : inject("workflowBundle") },
    dataConverter: converter,
    interceptors: {
      activity: [...(tracing ? [tracing.activity] : []), loggedActivities(log), boundedAttempts, errorsAsCodes(log)],
    },
    ...(tracing ? { sinks: { ...tracing.sinks } } : {}),
    activities: createActivities({
      pools,
      vault,
      keys: testKeys,
      sources: connectors,
      destinations,
      log,
      logFolder: join(directory, "logs"),
      loadProject: project,
      declareField,
      loadSql: () => loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), directory),
    }),
    maxConcurrentActivityTaskExecutions: 8,
  });
  const running = worker.run();
  const clientConnection = await Connection.connect({ address });
  const client = new Client({ connection: clientConnection, namespace, dataConverter: converter });
  const execute = async <T>(type: string, workflowId: string, input: unknown): Promise<T> =>
    (await client.workflow.execute(type, { workflowId, taskQueue: TASK_QUEUE, args: [input] })) as T;
  return {
    pool: database.pool,
    databaseUrl: database.url,
    vault,
    client,
    namespace,
    dataConverter: converter,
    project,
    run: (input = {}) => execute("runPipeline", RUN_WORKFLOW_ID, input),
    sync: (input) => execute("syncSource", syncWorkflowId(input.source), input),
    build: (input = {}) => execute("buildModels", BUILD_WORKFLOW_ID, input),
    async close() {
      worker.shutdown();
      await running;
      await clientConnection.close();
      await connection.close();
      await Promise.all(Object.values(pools).map((pool) => pool.end()));
      await database.drop();
    },
  };
}
