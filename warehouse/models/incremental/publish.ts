import type { ClientBase } from "pg";
import { CodedError } from "../../../domain/errors.ts";
import { quoteRelation, type Build } from "../build.ts";
import { buildName, MODEL_SCHEMAS, readShapes } from "../catalog.ts";
import { computeStep } from "../compute.ts";
import type { Graph } from "../graph.ts";
import { finishPublish } from "../publish-guards.ts";
import { compareShapes } from "../publish-shape.ts";
import { recordStates } from "../publish-state.ts";
import { ChecksFailed, isFailed, type ComputedModel, type PublishResult } from "../publish-result.ts";
import { aboutRows } from "../publish-relations.ts";
import type { RowChanges } from "../publish-rows.ts";
import type { RelationSpec } from "../relation.ts";
import type { Step } from "../steps.ts";
import { readStates } from "../work.ts";
import { addRows, applyRows, type Replaced } from "./apply.ts";
import { runChecksAgain } from "./check-again.ts";
import { followContract } from "./follow-contract.ts";
import { type Followed, followNode, touchedRows } from "./follow-node.ts";
import { findTouched, followModel } from "./follow-select.ts";
import { changesOf, isUnknown, openChanges, type Run } from "./run.ts";

/**
 * Computes and publishes what has changed, step after step, in the caller's transaction: each step reads the published
 * relations as the steps before have left them, and readers see all of it at the end. The transaction has one snapshot
 * (repeatable read), taken under the publish lock, so that no line appears without its order.
 * Throws as `publish` does.
 */
export async function publishIncrement(client: ClientBase, graph: Graph, build: Build): Promise<PublishResult> {
  await client.query(`set local search_path = pg_catalog; set local jit = off; set local work_mem = '64MB';
    set local seq_page_cost = 0.2; set local random_page_cost = 0.2; set local client_connection_check_interval = '2s'`);
  const run: Run = {
    client,
    graph,
    build,
    reading: { ...build, relations: new Map() },
    states: await readStates(client),
    published: await readShapes(client, MODEL_SCHEMAS),
    changes: new Map(),
  };
  const models: ComputedModel[] = [];
  const rows = new Map<string, RowChanges>();
  for (const step of graph.steps) {
    if (!step.outputs.every((spec) => build.relations.has(spec.name) && spec.materialize !== "view")) continue;
    const start = performance.now();
    const how = await takeStep(run, step);
    const milliseconds = Math.round(performance.now() - start);
    for (const { name } of step.outputs) {
      const counts = run.changes.get(name)?.counts ?? { inserted: 0, updated: 0, deleted: 0 };
      rows.set(name, counts);
      if (how !== "unchanged")
        models.push({ relation: name, rows: counts.inserted + counts.updated, milliseconds, how });
    }
  }
  await client.query("set constraints all immediate");
  await recordHorizons(client, build);
  const versions = await recordStates(client, graph, build, { rows, reshaped: new Set(), removed: [] });
  await client.query(
    `delete from ops.removed_records where removed_xid <
       (select horizon from ops.relation_state where horizon is not null order by horizon limit 1)`,
  );
  const checks = await runChecksAgain(run, versions);
  if (checks.some(isFailed)) throw new ChecksFailed(checks);
  const relations = [...rows].map(([relation, counts]) => ({ relation, ...counts }));
  const result: PublishResult = { buildId: build.buildId, relations, dropped: [], checks, models };
  return await finishPublish(client, build, result);
}

/** Brings a step's outputs up to date by the cheapest way that is sure. */
async function takeStep(run: Run, step: Step): Promise<ComputedModel["how"]> {
  const state = run.states.get(step.outputs[0]!.name)!;
  const isSet = step.settings.every((name) => state.settings?.[name] === run.build.settings[name]);
  if (isSet) {
    if (step.kind === "contract") {
      const replaced = await followContract(run, step);
      if (replaced === "nothing") return "unchanged";
      if (replaced) return await put(run, step, () => replaced);
    } else if (!step.inputs.some((input) => run.graph.makers.has(input) && isUnknown(run, step, input))) {
      const isOther = (input: string) => changesOf(run, input) !== null || isUnknown(run, step, input);
      if (!step.inputs.some(isOther)) return "unchanged";
      if (step.kind === "node") {
        const followed = await followNode(run, step);
        if (followed) {
          await confirmShapes(run, step);
          return await put(run, step, touchedRows, followed);
        }
      } else {
        const { spec } = step.model;
        const groups = await findTouched(
          run,
          { ...step.model, follows: spec.follows },
          [...spec.key, ...spec.notNull],
          state.rowCount ?? 0,
          step.model,
        );
        if (groups && !groups.length) return "unchanged";
        const replaced = groups && (await followModel(run, step, groups));
        if (replaced) return await put(run, step, () => replaced);
      }
    }
  }
  await computeStep(run.client, run.graph, run.reading, step);
  await confirmShapes(run, step);
  await put(run, step, () => null);
  return "full";
}

/** What was not made like the published tables must have their columns all the same. */
async function confirmShapes(run: Run, step: Step): Promise<void> {
  const names = step.outputs.map((spec) => buildName(spec.name));
  const built = await readShapes(run.client, ["build_core", "build_mart"], names);
  for (const spec of step.outputs) {
    if (!compareShapes(spec, run.published.get(spec.name)!, built.get(buildName(spec.name))!)) continue;
    throw new CodedError("internal", `${spec.name} has other columns than it had; build with --full.`, {
      retryable: false,
    });
  }
}

/** @param followed where a node has followed changes: which outputs have work, and their rows that are surely new */
async function put(
  run: Run,
  step: Step,
  replacedOf: (spec: RelationSpec) => Replaced,
  followed: Followed | null = null,
): Promise<ComputedModel["how"]> {
  const { client, graph } = run;
  for (const spec of step.outputs) {
    if (followed && !followed.has(spec.name)) continue;
    const shape = run.published.get(spec.name)!;
    const table = await openChanges(run, spec.name);
    const counts = await aboutRows(graph, spec, async () => {
      const news = followed?.get(spec.name) ?? null;
      if (news !== null) await addRows(client, spec, shape, news, table);
      return await applyRows(client, spec, shape, replacedOf(spec), table);
    });
    run.changes.get(spec.name)!.counts = counts;
    await client.query(`analyze ${table}; drop table ${quoteRelation(buildName(spec.name))} cascade`);
  }
  return "incremental";
}

/** What this snapshot may not have seen is read again by the next build. */
async function recordHorizons(client: ClientBase, build: Build): Promise<void> {
  await client.query(
    "update ops.build_relations set horizon = pg_snapshot_xmin(pg_current_snapshot()) where build_id = $1",
    [build.buildId],
  );
}
