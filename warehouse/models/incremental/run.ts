import type { ClientBase } from "pg";
import type { Build } from "../build.ts";
import { versionedBy } from "../build.ts";
import type { Shape } from "../catalog.ts";
import type { Graph } from "../graph.ts";
import type { Step } from "../steps.ts";
import type { State } from "../work.ts";
import { createChanges, type Changes } from "./changes.ts";

/** One incremental build, under way in its transaction. */
export interface Run {
  client: ClientBase;
  graph: Graph;
  build: Build;
  /** The same build as it looks to what computes a step: it reads everything as published, which is up to date here. */
  reading: Build;
  /** What was known of each relation before. */
  states: ReadonlyMap<string, State>;
  published: ReadonlyMap<string, Shape>;
  /** What has changed so far, by relation. */
  changes: Map<string, Changes>;
}

/** An empty table for the changes of a relation, which what computes models may read. */
export async function openChanges(run: Run, relation: string): Promise<string> {
  const table = await createChanges(run.client, relation, run.changes.size);
  await run.client.query(`grant select on ${table} to transformer`);
  run.changes.set(relation, { table, counts: { inserted: 0, updated: 0, deleted: 0 }, told: new Map() });
  return table;
}

/** What this build has changed of a relation; null where nothing. */
export function changesOf(run: Run, relation: string): Changes | null {
  const changes = run.changes.get(relation);
  if (!changes) return null;
  const { inserted, updated, deleted } = changes.counts;
  return inserted + updated + deleted > 0 ? changes : null;
}

/**
 * Whether an input differs from what the step was computed from in a way that this build does not know: it changed in a
 * build of a part, by another writer, or it is a view that this build makes.
 */
export function isUnknown(run: Run, step: Step, input: string): boolean {
  const state = run.states.get(step.outputs[0]!.name);
  const maker = run.graph.makers.get(input);
  if (maker && run.graph.specs.get(input)!.materialize === "view" && run.build.relations.has(input)) return true;
  return (run.states.get(versionedBy(run.graph, input))?.version ?? 0) !== (state?.inputVersions?.[input] ?? 0);
}
