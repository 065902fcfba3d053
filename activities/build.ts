import { Context } from "@temporalio/activity";
import type { Pool } from "pg";
import type { BuildInput, BuildReport, BuildStep, ModelReport } from "../domain/runs.ts";
import type { Project } from "../domain/project.ts";
import { refreshBlocked } from "../warehouse/blocked.ts";
import { feedLedger, hasLedgerGrown } from "../warehouse/consent/feed.ts";
import { refreshUseLimits } from "../warehouse/consent/use-limits.ts";
import { computeContracts, computeModel, type ComputeResult } from "../warehouse/models/compute.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { planBuild as planModels } from "../warehouse/models/plan.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { publish } from "../warehouse/models/publish.ts";
import { noteRules, rulesInForce } from "../warehouse/identity/rules.ts";
import type { Dependencies } from "./dependencies.ts";
import { revokeDeliveriesSoon } from "./revocations.ts";

/** The step that computes all contracts under one snapshot. */
const CONTRACTS = "contracts";

/** Brings the list of blocked identifiers up to date with the project's rules. */
export async function blockIdentifiers(dependencies: Dependencies): Promise<void> {
  await refreshBlocked(dependencies.pool, dependencies.vault, (await projectOf(dependencies)).identity);
}

/** Brings what people have forbidden up to date with the ledger. */
export async function limitUse(dependencies: Dependencies): Promise<void> {
  const { steps } = await graphOf(dependencies);
  const remembered = steps.flatMap((step) => (step.kind === "node" ? (step.node.remembers ?? []) : []));
  await refreshUseLimits(
    dependencies.pool,
    remembered.filter((relation) => relation.startsWith("mart.")),
  );
}

/** Decides what has work. Without a build id there is nothing to compute or publish. */
export async function planBuild(
  dependencies: Dependencies,
  input: BuildInput,
): Promise<{ buildId: string | null; steps: BuildStep[] }> {
  await noteRules(dependencies.pool, (await projectOf(dependencies)).identity);
  const graph = await graphOf(dependencies);
  const plan = await planModels(dependencies.pool, graph, input);
  if (plan.buildId !== null) planned = { buildId: plan.buildId, graph };
  const steps = plan.steps.map(({ step, after }) => ({
    name: step,
    after: plan.hasContracts ? [CONTRACTS, ...after] : after,
  }));
  return { buildId: plan.buildId, steps: plan.hasContracts ? [{ name: CONTRACTS, after: [] }, ...steps] : steps };
}

export async function computeModels(
  dependencies: Dependencies,
  { buildId, step }: { buildId: string; step: string },
): Promise<ModelReport[]> {
  const graph = planned?.buildId === buildId ? planned.graph : await graphOf(dependencies);
  const results =
    step === CONTRACTS
      ? await computeContracts(dependencies.pool, graph, buildId)
      : [await computeModel(dependencies.pool, graph, buildId, step)];
  const reports = results.flatMap(asReports);
  const duration = Context.current().metricMeter.createGauge("miette_model_duration_seconds", "float");
  for (const { relation, milliseconds } of reports) duration.set(milliseconds / 1000, { relation });
  return reports;
}

/** @param ledger connections that may write what people have said about their data */
export async function publishBuild(
  dependencies: Dependencies,
  ledger: Pool,
  { buildId }: { buildId: string },
): Promise<BuildReport> {
  const { relations, checks, models } = await publish(dependencies.pool, await graphOf(dependencies), buildId);
  const consents = relations.find(({ relation }) => relation === "core.consents");
  if (consents && consents.inserted + consents.updated + consents.deleted > 0) await feedLedger(ledger);
  if (await hasLedgerGrown(ledger)) await revokeDeliveriesSoon(ledger);
  const total = (of: "inserted" | "updated" | "deleted"): number => relations.reduce((sum, each) => sum + each[of], 0);
  return {
    inserted: total("inserted"),
    updated: total("updated"),
    deleted: total("deleted"),
    models: models.map(({ relation, rows, milliseconds }) => ({ relation, rows, milliseconds })),
    checks: checks.map(({ name, file, severity, rows }) => ({ name, file, severity, rows })),
  };
}

/**
 * The graph of the build that was planned last in this process: its steps are computed as it was planned, and need not read
 * a hundred files each (16 ms). What was edited since is noticed by who publishes.
 */
let planned: { buildId: string; graph: Graph } | null = null;

/** What the last graph was made of, and the graph. */
let made: { from: string; graph: Graph } | null = null;

/**
 * The graph of the project's files as they stand now. Reading it anew takes 50 ms of the worker's one thread, so it is made
 * once for what it is made of.
 */
export async function graphOf(dependencies: Dependencies): Promise<Graph> {
  const files = await dependencies.loadSql();
  const { currency, timeZone, identity, sources, goals, survivorship } = await projectOf(dependencies);
  const project = { currency, timeZone, identity, sources, goals, survivorship };
  const from = JSON.stringify([files, project]);
  if (made?.from !== from) made = { from, graph: await loadProjectGraph(files, project) };
  return made.graph;
}

/** The project, with the identity rules that are in force. */
async function projectOf({ pool, loadProject }: Dependencies): Promise<Project> {
  const project = await loadProject();
  return { ...project, identity: await rulesInForce(pool, project.identity) };
}

function asReports({ rows, milliseconds }: ComputeResult): ModelReport[] {
  return Object.entries(rows).map(([relation, count]) => ({
    relation,
    rows: count,
    milliseconds: Math.round(milliseconds),
  }));
}
