import type { ClientBase } from "pg";
import { UserError, UserErrors } from "../../domain/errors.ts";
import { versionedBy, type SettingValues } from "./build.ts";
import type { SettingName } from "./functions.ts";
import type { Graph } from "./graph.ts";
import type { Step } from "./steps.ts";

/** What `ops.relation_state` knows of a relation. */
export interface State {
  relation: string;
  version: number;
  definitionHash: string | null;
  inputVersions: Record<string, number> | null;
  settings: Partial<SettingValues> | null;
  rowCount: number | null;
  /** Rows of raw that landed in this transaction or a later one may not have been seen; null for what reads no raw. */
  horizon: string | null;
  /** The cluster in which it was computed. */
  cluster: string | null;
}

/** Everything that `ops.relation_state` knows, by relation. */
export async function readStates(client: ClientBase): Promise<Map<string, State>> {
  const { rows } = await client.query<State>(
    `select relation, version::float8 as version, definition_hash as "definitionHash", input_versions as "inputVersions",
       settings, row_count::float8 as "rowCount", horizon::text as horizon, cluster from ops.relation_state`,
  );
  return new Map(rows.map((state) => [state.relation, state]));
}

/** Why a step has work. */
export interface Work {
  reason: string;
  /** Whether nothing but the rows of its inputs, or a setting's value, has changed. */
  isData: boolean;
}

const SETTING_NAMES: Record<SettingName, string> = {
  as_of: "the day",
  currency: "the reporting currency",
  time_zone: "the time zone",
  identity: "the identity rules",
};

/** The steps that have work, each with its reason. */
export function findWork(
  graph: Graph,
  selected: ReadonlySet<Step>,
  known: {
    states: Map<string, State>;
    definitions: Map<Step, string>;
    settings: SettingValues;
    cluster: string;
    isFull: boolean;
  },
): Map<Step, Work> {
  const work = new Map<Step, Work>();
  for (const step of graph.steps) {
    if (!selected.has(step)) continue;
    const found = known.isFull ? { reason: "asked for in full", isData: false } : workOf(step);
    if (found) work.set(step, found);
  }
  return work;

  function workOf(step: Step): Work | null {
    const states = step.outputs.map((spec) => known.states.get(spec.name));
    if (states.some((state) => !state?.definitionHash)) return { reason: "never built", isData: false };
    const [state] = states as [State];
    if (state.definitionHash !== known.definitions.get(step)) {
      const isEdited = state.definitionHash?.split(":")[0] !== step.hash;
      return { reason: isEdited ? "its definition changed" : "columns of its raw table changed", isData: false };
    }
    if (state.cluster !== known.cluster) return { reason: "it was built in another cluster", isData: false };
    for (const name of step.settings) {
      if (state.settings?.[name] !== known.settings[name])
        return { reason: `${SETTING_NAMES[name]} changed`, isData: true };
    }
    for (const input of step.inputs) {
      const maker = graph.makers.get(input);
      if (maker && work.has(maker)) return { reason: `${input} is computed`, isData: true };
      if ((known.states.get(versionedBy(graph, input))?.version ?? 0) !== (state.inputVersions?.[input] ?? 0))
        return { reason: `${input} changed`, isData: true };
    }
    return null;
  }
}

/** What the work reads or points at must be published or part of the work. */
export function checkInputs(graph: Graph, work: ReadonlyMap<Step, Work>, states: ReadonlyMap<string, State>): void {
  const errors: UserError[] = [];
  for (const step of work.keys()) {
    const needed = [...step.inputs, ...step.outputs.flatMap((spec) => spec.foreignKeys.map((key) => key.references))];
    for (const relation of new Set(needed)) {
      const maker = graph.makers.get(relation);
      if (!maker || work.has(maker) || states.get(relation)?.definitionHash) continue;
      errors.push(
        new UserError(`needs ${relation}, which was never built; select +${step.name}.`, { file: step.file }),
      );
    }
  }
  if (errors.length) throw new UserErrors(errors);
}
