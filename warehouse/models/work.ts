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
}

const SETTING_NAMES: Record<SettingName, string> = {
  as_of: "the day",
  currency: "the reporting currency",
  time_zone: "the time zone",
  identity: "the identity rules",
};

/** The steps to compute, each with its reason. */
export function findWork(
  graph: Graph,
  selected: ReadonlySet<Step>,
  known: { states: Map<string, State>; definitions: Map<Step, string>; settings: SettingValues; isFull: boolean },
): Map<Step, string> {
  const work = new Map<Step, string>();
  for (const step of graph.steps) {
    if (!selected.has(step)) continue;
    const reason = known.isFull ? "asked for in full" : reasonFor(step);
    if (reason) work.set(step, reason);
  }
  return work;

  function reasonFor(step: Step): string | null {
    const states = step.outputs.map((spec) => known.states.get(spec.name));
    if (states.some((state) => !state?.definitionHash)) return "never built";
    const [state] = states as [State];
    if (state.definitionHash !== known.definitions.get(step)) {
      const isEdited = state.definitionHash?.split(":")[0] !== step.hash;
      return isEdited ? "its definition changed" : "columns of its raw table changed";
    }
    for (const name of step.settings) {
      if (state.settings?.[name] !== known.settings[name]) return `${SETTING_NAMES[name]} changed`;
    }
    for (const input of step.inputs) {
      const maker = graph.makers.get(input);
      if (maker && work.has(maker)) return `${input} is computed`;
      if ((known.states.get(versionedBy(graph, input))?.version ?? 0) !== (state.inputVersions?.[input] ?? 0))
        return `${input} changed`;
    }
    return null;
  }
}

/** What the work reads or points at must be published or part of the work. */
export function checkInputs(graph: Graph, work: ReadonlyMap<Step, string>, states: ReadonlyMap<string, State>): void {
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
