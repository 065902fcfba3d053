import { randomUUID } from "node:crypto";
import type { ClientBase, Pool } from "pg";
import { inTransaction } from "../database.ts";
import { dropBuildRelations, lockPublishing, type SettingValues } from "./build.ts";
import { readCluster, readDefinitions, readSettings } from "./definitions.ts";
import type { Graph } from "./graph.ts";
import { statementError } from "./sql-errors.ts";
import type { Step } from "./steps.ts";
import { planIncrement, type PlannedStep } from "./incremental/plan.ts";
import { checkInputs, findWork, readStates, type Work } from "./work.ts";
import { selectSteps } from "./select-steps.ts";

export interface PlanOptions {
  /** `fct_orders`, `+fct_orders`, `mart`, …; none: everything. */
  select?: readonly string[];
  /** Compute everything that is selected, whether it has work or not. */
  full?: boolean;
  /** Only say what a build would do; write nothing. */
  dry?: boolean;
  /** The moment whose day the models take as today. */
  now?: Date;
}

/** What a build will do. Small and free of values, so that it may pass through a workflow. */
export interface BuildPlan {
  /** Null where nothing has work, and in a dry plan. */
  buildId: string | null;
  relations: PlannedRelation[];
  /** Whether `computeContracts` has work. */
  hasContracts: boolean;
  /**
   * What `computeModel` is to be called for; a step waits for those named in `after`. None in an incremental build, which
   * `publish` computes.
   */
  steps: { step: string; after: string[] }[];
}

export interface PlannedRelation {
  relation: string;
  action: "skip" | "incremental" | "full" | "drop";
  reason: string;
  /** At most so many rows are computed again; null where only the build can tell. */
  keys: number | null;
}

/**
 * Decides what has work, and opens a build for it: takes the place of a build that was abandoned and drops its tables,
 * and makes the project's currency, time zone and day those of `ops.settings`.
 * Throws UserErrors where a raw table has not landed yet or a selected model reads one that was never built.
 */
export async function planBuild(pool: Pool, graph: Graph, options: PlanOptions = {}): Promise<BuildPlan> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await planOnce(pool, graph, options);
    } catch (error) {
      // A deadlock with the last statement of the build whose place is taken: that one ends, and the way is free.
      if ((error as { code?: string }).code !== "40P01" || attempt === 5) throw statementError(error, { file: "plan" });
    }
  }
}

async function planOnce(pool: Pool, graph: Graph, options: PlanOptions): Promise<BuildPlan> {
  const selected = selectSteps(graph, options.select ?? []);
  const isComplete = !options.select?.length;
  return await inTransaction(
    pool,
    async (client) => {
      if (!options.dry) await lockPublishing(client);
      const settings = await readSettings(client, graph, options.now ?? new Date());
      const definitions = await readDefinitions(client, graph, selected);
      const states = await readStates(client);
      const cluster = await readCluster(client);
      const work = findWork(graph, selected, { states, definitions, settings, cluster, isFull: options.full ?? false });
      checkInputs(graph, work, states);
      const removed = isComplete
        ? [...states.values()].filter(
            (state) => /^(staging|core|mart)\./.test(state.relation) && !graph.makers.has(state.relation),
          )
        : [];
      const increment = removed.length || !work.size ? null : await planIncrement(client, graph, work, states);
      const buildId = options.dry || (!work.size && !removed.length) ? null : randomUUID();
      if (!options.dry) {
        await client.query("update ops.builds set status = 'abandoned', finished_at = now() where status = 'active'");
        await dropBuildRelations(client);
        await client.query(
          `update ops.settings set currency = $1, time_zone = $2, as_of = $3
           where (currency, time_zone, as_of) is distinct from ($1, $2, $3::timestamptz)`,
          [settings.currency, settings.time_zone, settings.as_of],
        );
      }
      if (buildId)
        await openBuild(client, buildId, {
          isComplete,
          isIncremental: increment !== null,
          settings,
          work,
          definitions,
        });
      return describePlan(graph, buildId, {
        work,
        increment,
        removed: removed.map((state) => state.relation),
        selected,
      });
    },
    options.dry ? "begin isolation level repeatable read read only" : "begin",
  );
}

async function openBuild(
  client: ClientBase,
  buildId: string,
  build: {
    isComplete: boolean;
    isIncremental: boolean;
    settings: SettingValues;
    work: ReadonlyMap<Step, Work>;
    definitions: Map<Step, string>;
  },
): Promise<void> {
  await client.query(
    `insert into ops.builds (build_id, epoch, is_complete, is_incremental, settings) select $1, epoch, $2, $3, $4 from privacy.epoch`,
    [buildId, build.isComplete, build.isIncremental, JSON.stringify(build.settings)],
  );
  const rows = [...build.work].flatMap(([step, { reason }]) =>
    step.outputs.map((spec) => ({ relation: spec.name, hash: build.definitions.get(step), reason })),
  );
  await client.query(
    `insert into ops.build_relations (build_id, relation, definition_hash, reason)
     select $1, r.relation, r.hash, r.reason from json_to_recordset($2) as r (relation text, hash text, reason text)`,
    [buildId, JSON.stringify(rows)],
  );
}

function describePlan(
  graph: Graph,
  buildId: string | null,
  decided: {
    work: ReadonlyMap<Step, Work>;
    increment: ReadonlyMap<Step, PlannedStep> | null;
    removed: string[];
    selected: ReadonlySet<Step>;
  },
): BuildPlan {
  const { work, increment, removed, selected } = decided;
  const relations = graph.steps.flatMap((step) =>
    step.outputs.map(({ name: relation }): PlannedRelation => {
      const planned = increment?.get(step);
      if (planned) return { relation, ...planned };
      const reason = work.get(step)?.reason;
      if (reason) return { relation, action: "full", reason, keys: null };
      return { relation, action: "skip", reason: selected.has(step) ? "nothing new" : "not selected", keys: null };
    }),
  );
  relations.push(
    ...removed.map((relation): PlannedRelation => ({
      relation,
      action: "drop",
      reason: "its model is gone",
      keys: null,
    })),
  );
  if (increment) return { buildId, relations, hasContracts: false, steps: [] };
  const later = [...work.keys()].filter((step) => !step.isSnapshot);
  const steps = later.map((step) => ({
    step: step.name,
    after: later
      .filter((other) => step.inputs.some((input) => graph.makers.get(input) === other))
      .map((other) => other.name),
  }));
  return { buildId, relations, hasContracts: later.length < work.size, steps };
}
