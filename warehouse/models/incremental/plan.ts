import type { ClientBase } from "pg";
import { quoteRelation, versionedBy } from "../build.ts";
import type { Graph } from "../graph.ts";
import type { SqlStep, Step } from "../steps.ts";
import type { State, Work } from "../work.ts";
import { isRowWise } from "./follow-contract.ts";

/** More changed records than this share of all are faster computed in full, on both cores and outside the publish. */
const MOST = 0.2;
/** So many are always few. */
const FEW = 10_000;
/** Keys are held in memory; beyond this many a build is a full one. */
const LIMIT = 200_000;

/** How an incremental build will go about one step, as far as can be told before it has run. */
export interface PlannedStep {
  action: "incremental" | "full" | "skip";
  reason: string;
  /** At most so many rows are computed again; null where only the build can tell. */
  keys: number | null;
}

/**
 * Whether the work can be done by computing what has changed, and how each step will be. Null where it can't: something is
 * new, edited or of another cluster, or most has changed.
 */
export async function planIncrement(
  client: ClientBase,
  graph: Graph,
  work: ReadonlyMap<Step, Work>,
  states: ReadonlyMap<string, State>,
): Promise<Map<Step, PlannedStep> | null> {
  if ([...work.values()].some(({ isData }) => !isData)) return null;
  const plan = new Map<Step, PlannedStep>();
  const changed = await countChanged(client, graph, work, states);
  const stored = [...changed.keys()].reduce((sum, step) => sum + (states.get(step.name)?.rowCount ?? 0), 0);
  const total = [...changed.values()].reduce((sum, count) => sum + count, 0);
  if (total > LIMIT || total > Math.max(FEW, stored * MOST)) return null;
  for (const [step, { reason }] of work) plan.set(step, planStep(graph, work, states, changed, plan, step, reason));
  return plan;
}

/** How many records have landed for each contract since it was computed. */
async function countChanged(
  client: ClientBase,
  graph: Graph,
  work: ReadonlyMap<Step, Work>,
  states: ReadonlyMap<string, State>,
): Promise<Map<Step, number>> {
  const counts = new Map<Step, number>();
  for (const step of work.keys()) {
    if (step.kind !== "contract") continue;
    const horizon = states.get(step.name)?.horizon;
    let count = 0;
    const tables = step.members.flatMap((member) =>
      graph.makers
        .get(member.relation)!
        .inputs.filter(
          (table) => isOther(graph, states, member.relation, table) && graph.raw.get(table)?.changesWith === table,
        ),
    );
    for (const table of horizon ? new Set(tables) : []) {
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::float8 as count from (select from ${quoteRelation(table)} where landed_xid >= $1::text::xid8 limit ${LIMIT + 1}) as landed`,
        [horizon],
      );
      count += rows[0]!.count;
    }
    counts.set(step, count);
  }
  return counts;
}

function isOther(graph: Graph, states: ReadonlyMap<string, State>, reader: string, input: string): boolean {
  const recorded = states.get(reader)?.inputVersions?.[input] ?? 0;
  return (states.get(versionedBy(graph, input))?.version ?? 0) !== recorded;
}

function planStep(
  graph: Graph,
  work: ReadonlyMap<Step, Work>,
  states: ReadonlyMap<string, State>,
  changed: ReadonlyMap<Step, number>,
  plan: ReadonlyMap<Step, PlannedStep>,
  step: Step,
  reason: string,
): PlannedStep {
  if (step.outputs[0]!.materialize === "view")
    return { action: "skip", reason: `${reason}, as the view shows`, keys: null };
  if (reason.startsWith("the ")) return { action: "full", reason, keys: null };
  if (step.kind === "contract") {
    const members = step.members.map((member) => (graph.makers.get(member.relation) as SqlStep).model);
    const other = members.find((model) => !isRowWise(model));
    if (other) return { action: "full", reason: `${other.spec.name} makes a row of several records`, keys: null };
    const keys = changed.get(step)!;
    return { action: "incremental", reason: `${keys} changed ${keys === 1 ? "record" : "records"}`, keys };
  }
  const inputs = step.inputs.filter(
    (input) => work.has(graph.makers.get(input)!) || isOther(graph, states, step.outputs[0]!.name, input),
  );
  if (step.kind === "node") {
    if (!step.node.computeChanges) return { action: "full", reason, keys: null };
    for (const { readings, follows, statement } of step.node.selects ?? []) {
      const missed = readings.find(
        ({ relation }) => inputs.includes(relation) && !follows.some((follow) => follow.relation === relation),
      );
      if (!missed) continue;
      const unfollowed = `${missed.relation} changed, which ${statement.file.displayFile} does not follow`;
      return { action: "full", reason: unfollowed, keys: null };
    }
    const other = inputs.find(
      (input) => graph.makers.has(input) && isOther(graph, states, step.outputs[0]!.name, input),
    );
    if (other) return { action: "full", reason: `${other} was changed by another build`, keys: null };
    return { action: "incremental", reason, keys: null };
  }
  const follows = step.model.spec.follows;
  const missed = inputs.find((input) => !follows.some((follow) => follow.relation === input));
  if (missed) return { action: "full", reason: `${missed} changed, which it does not follow`, keys: null };
  const outside = inputs.find((input) => isOther(graph, states, step.name, input));
  if (outside) return { action: "full", reason: `${outside} was changed by another build`, keys: null };
  const known = inputs.map((input) => keysBy(graph, plan, step, input));
  const keys = known.every((count) => count !== null) ? known.reduce<number>((sum, count) => sum + count!, 0) : null;
  return { action: "incremental", reason: `follows ${inputs.join(" and ")}`, keys };
}

/** How many rows of a step a change of one input can touch: known where it follows the input by its key. */
function keysBy(graph: Graph, plan: ReadonlyMap<Step, PlannedStep>, step: SqlStep, input: string): number | null {
  const made = plan.get(graph.makers.get(input)!);
  const follow = step.model.spec.follows.find((other) => other.relation === input)!;
  const isByKey =
    follow.from!.join() === graph.specs.get(input)!.key.join() && follow.columns.join() === step.model.spec.key.join();
  return made && isByKey ? made.keys : null;
}
