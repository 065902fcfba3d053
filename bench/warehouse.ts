import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type WorkflowHandle } from "@temporalio/client";
import type pg from "pg";
import { readPasswords } from "../cli/passwords.ts";
import { runWorkflow } from "../cli/workflow.ts";
import { loadProject, loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import { destinationSpecs, sourceSpecs } from "../connectors/index.ts";
import { BUILD_WORKFLOW_ID, KEYS_WORKFLOW_ID, RUN_WORKFLOW_ID, syncWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { ErasureReport } from "../domain/requests.ts";
import type { BuildInput, BuildReport, KeyRotationReport, RunReport, SyncReport } from "../domain/runs.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { createWarehouse } from "../warehouse/bootstrap.ts";
import { dataConverter } from "../warehouse/data-converter.ts";
import { openPool } from "../warehouse/database.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { Vault } from "../warehouse/vault.ts";
import type { Bench } from "./bench.ts";
import { profiled } from "./profile.ts";
import { startWorker, type BenchWorker } from "./worker-process.ts";

/** What a measured workflow came to. */
export interface Measured<T> {
  seconds: number;
  peakMemory: number | null;
  report: T;
}

/** A warehouse with a worker, as production has them: the measured work runs in the worker's own process. */
export interface Warehouse {
  /** As the warehouse's owner. */
  pool: pg.Pool;
  sources: string[];
  graph(): Promise<Graph>;
  /** @param label names the profile, where profiles are taken */
  sync(source: string, label: string): Promise<Measured<SyncReport>>;
  build(input: BuildInput, label: string): Promise<Measured<BuildReport>>;
  run(label: string): Promise<Measured<RunReport>>;
  rotate(label: string): Promise<Measured<KeyRotationReport>>;
  /** Everybody asks at once to be erased, and it is approved at once; from the first request to the last receipt. */
  erase(emails: readonly string[], label: string): Promise<Measured<ErasureReport[]>>;
  /** Does at once what autovacuum does within minutes of a load: visibility map and statistics are written. */
  settle(): Promise<void>;
  /** Reads a source in full, again and again. @returns ends it after the sync that runs, and tells how many there were */
  keepSyncing(source: string): () => Promise<number>;
  /** Ends the worker and keeps the database under a name, from which others can be opened. */
  keepAs(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Syncs all sources of the project, one after another; seconds and peak memory are of all of them. */
export async function syncAll(
  warehouse: Warehouse,
  label: string,
): Promise<{ seconds: number; peakMemory: number | null }> {
  const all = { seconds: 0, peakMemory: 0 as number | null };
  for (const source of warehouse.sources) {
    const { seconds, peakMemory } = await warehouse.sync(source, `${label}-${source}`);
    all.seconds += seconds;
    all.peakMemory = peakMemory === null || all.peakMemory === null ? null : Math.max(all.peakMemory, peakMemory);
  }
  return all;
}

const DATABASE = "miette";
const ERASED_WITHIN_MS = 3_600_000;

/**
 * Makes an empty warehouse, or a copy of one that was kept, in place of the one before.
 * @param options.from the name of a kept warehouse
 */
export async function openWarehouse(bench: Bench, project: string, { from }: { from?: string }): Promise<Warehouse> {
  const { servers, options } = bench;
  const { admin, settings, superuserUrl } = servers;
  await admin.query(`drop database if exists ${DATABASE} with (force)`);
  if (from !== undefined) await admin.query(`create database ${DATABASE} owner miette template ${from}`);
  const loaded = await loadProject(project, {
    connectorSpecs: sourceSpecs,
    destinationSpecs,
    env: servers.environment,
  });
  const urls = await createWarehouse(superuserUrl, await readPasswords(settings.home));
  const pool = openPool(urls.owner, { max: 2, name: "bench" });
  const vault = await Vault.open(pool, keyRingOf(settings));
  const client = new Client({
    connection: servers.temporal,
    namespace: settings.temporalNamespace,
    dataConverter: dataConverter(pool, vault),
  });
  const worker: BenchWorker = await startWorker({
    ...servers.environment,
    MIETTE_PROJECT: project,
    DATABASE_URL: urls.worker,
  });

  const measure = async <T>(label: string, work: () => Promise<T>): Promise<Measured<T>> => {
    // What was written before must not be written out in the measured time.
    await admin.query("checkpoint");
    await worker.resetPeak();
    return await profiled({ directory: options.profiles, label, worker, pool: admin, database: DATABASE }, async () => {
      const start = performance.now();
      const report = await work();
      return { seconds: (performance.now() - start) / 1000, peakMemory: await worker.peakMemory(), report };
    });
  };
  const run = <T>(type: string, workflowId: string, input: unknown, summary: string): Promise<T> =>
    runWorkflow<T>(client, type, { workflowId, input, summary, quiet: true });
  const execute = <T>(type: string, workflowId: string, input: unknown, label: string): Promise<Measured<T>> =>
    measure(label, () => run<T>(type, workflowId, input, label));
  const ask = async (email: string): Promise<{ requestId: string; handle: WorkflowHandle }> => {
    const named = { emails: [email], phones: [], ids: [] };
    const request = { kind: "erasure", channel: "cli", jurisdiction: "EU", named, actor: "bench" } as const;
    const { requestId, workflow } = await takeIn(pool, vault, loaded, request);
    const handle = await client.workflow.start(workflow.type, {
      workflowId: workflow.workflowId,
      taskQueue: TASK_QUEUE,
      args: [{ requestId, actor: "bench", approvedBy: "bench" }],
    });
    return { requestId, handle };
  };
  // A thousand who wait for a workflow each would ask the server more than the work does: the warehouse tells.
  const erase = async (emails: readonly string[]): Promise<WorkflowHandle[]> => {
    const asked = await Promise.all(emails.map(ask));
    const ids = asked.map(({ requestId }) => requestId);
    const open =
      "select from privacy.requests where request_id = any($1) and state in ('received', 'planned', 'approved', 'running') limit 1";
    for (const until = Date.now() + ERASED_WITHIN_MS; (await pool.query(open, [ids])).rowCount !== 0;) {
      if (Date.now() > until) throw new Error("the erasures have not come to their end; the worker's log tells why");
      await sleep(100);
    }
    return asked.map(({ handle }) => handle);
  };
  const close = async (): Promise<void> => {
    await worker.stop();
    await pool.end();
  };
  return {
    pool,
    sources: loaded.sources.map(({ name }) => name),
    graph: async () => await loadProjectGraph(await loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), project), loaded),
    sync: (source, label) => execute("syncSource", syncWorkflowId(source), { source }, label),
    build: (input, label) => execute("buildModels", BUILD_WORKFLOW_ID, input, label),
    run: (label) => execute("runPipeline", RUN_WORKFLOW_ID, { full: false }, label),
    rotate: (label) => execute("rotateKeys", KEYS_WORKFLOW_ID, { actor: "bench" }, label),
    async erase(emails, label) {
      const { report: handles, ...measured } = await measure(label, () => erase(emails));
      const report: ErasureReport[] = [];
      for (const handle of handles) report.push((await handle.result()) as ErasureReport);
      return { ...measured, report };
    },
    async settle() {
      await pool.query("vacuum (analyze)");
    },
    keepSyncing(source) {
      let isWanted = true;
      const syncing = (async () => {
        let count = 0;
        for (; isWanted; count += 1) await run("syncSource", syncWorkflowId(source), { source, full: true }, "sync");
        return count;
      })();
      return () => {
        isWanted = false;
        return syncing;
      };
    },
    async keepAs(name) {
      await close();
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.query(`alter database ${DATABASE} rename to ${name}`);
    },
    close,
  };
}
