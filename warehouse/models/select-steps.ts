import { UserError } from "../../domain/errors.ts";
import { closest } from "./graph-rules.ts";
import type { Graph } from "./graph.ts";
import type { Step } from "./steps.ts";

/**
 * The steps that selectors name: `fct_orders`, `mart.fct_orders`, a layer (`mart`), a node; `+x` with all it is built
 * from, `x+` with all that is built from it. No selector: every step.
 */
export function selectSteps(graph: Graph, selectors: readonly string[]): Set<Step> {
  if (!selectors.length) return new Set(graph.steps);
  const selected = new Set<Step>();
  for (const selector of selectors.flatMap((list) => list.split(/[\s,]+/)).filter(Boolean)) {
    const match = /^(\+?)([^+]+)(\+?)$/.exec(selector);
    if (!match)
      throw new UserError(`"${selector}" selects nothing: write a model's name, with + before or after it.`, {
        key: "--select",
      });
    const [, before, name, after] = match as unknown as [string, string, string, string];
    const named = graph.steps.filter(
      (step) =>
        step.name === name || step.outputs.some((spec) => spec.name === name || spec.name.split(".").includes(name)),
    );
    if (!named.length) {
      const near = closest(name, [
        ...graph.makers.keys(),
        ...[...graph.makers.keys()].map((other) => other.split(".")[1]!),
      ]);
      throw new UserError(`there is no model ${name}${near ? `; did you mean ${near}?` : "."}`, { key: "--select" });
    }
    for (const step of named) {
      selected.add(step);
      if (before) for (const other of upstream(graph, step)) selected.add(other);
      if (after) for (const other of downstream(graph, step)) selected.add(other);
    }
  }
  return selected;
}

/** All steps that a step is built from, in building order. */
export function upstream(graph: Graph, step: Step): Step[] {
  const found = new Set<Step>();
  const visit = (inputs: readonly string[]): void => {
    for (const input of inputs) {
      const maker = graph.makers.get(input);
      if (!maker || found.has(maker)) continue;
      found.add(maker);
      visit(maker.inputs);
    }
  };
  visit(step.inputs);
  return graph.steps.filter((other) => found.has(other));
}

/** All steps that are built from a step, in building order. */
export function downstream(graph: Graph, step: Step): Step[] {
  const reached = new Set([step]);
  for (const other of graph.steps) {
    if (other.inputs.some((input) => reached.has(graph.makers.get(input)!))) reached.add(other);
  }
  return graph.steps.filter((other) => other !== step && reached.has(other));
}
