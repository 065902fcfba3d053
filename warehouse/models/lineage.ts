import { UserError } from "../../domain/errors.ts";
import type { ColumnSource } from "./columns.ts";
import { closest } from "./graph-rules.ts";
import type { Graph } from "./graph.ts";
import { downstream, upstream } from "./select-steps.ts";

export interface Lineage {
  relation: string;
  /** The file that makes it; null for a raw table, which its stream fills. */
  file: string | null;
  /** Relations that it is built from, nearest last. */
  upstream: string[];
  /** Relations that are built from it, nearest first. */
  downstream: string[];
  column: ColumnLineage | null;
}

export interface ColumnLineage {
  name: string;
  /** Columns of other relations that its values are made of, all the way up. */
  sources: ColumnSource[];
  /** Columns whose values are made of it, all the way down. */
  dependents: ColumnSource[];
  /** Columns on the way whose origin the parse tree does not tell: what a node computes, or a `*` over unknown columns. */
  unresolved: ColumnSource[];
}

/** Where `mart.fct_orders` or `mart.fct_orders.amount` comes from and what hangs on it. Throws a UserError for an unknown name. */
export function lineage(graph: Graph, name: string): Lineage {
  const [schema, table, column, ...rest] = name.split(".");
  const relation = `${schema}.${table}`;
  const step = graph.makers.get(relation);
  if (rest.length || !table || (!step && !graph.raw.has(relation))) {
    const near = closest(relation, [...graph.makers.keys(), ...graph.raw.keys()]);
    throw new UserError(`there is no relation ${relation}${near ? `; did you mean ${near}?` : "."}`, { key: name });
  }
  const above = step ? upstream(graph, step) : [];
  const raw = (step ? [step, ...above] : []).flatMap((other) => other.inputs.filter((input) => graph.raw.has(input)));
  const below = step ? downstream(graph, step) : graph.steps.filter((other) => readsRaw(graph, other.inputs, relation));
  return {
    relation,
    file: step?.file ?? null,
    upstream: [...new Set(raw), ...above.flatMap((other) => other.outputs.map((spec) => spec.name))],
    downstream: below.flatMap((other) => other.outputs.map((spec) => spec.name)),
    column: column ? columnLineage(graph, { relation, column }) : null,
  };
}

function readsRaw(graph: Graph, inputs: readonly string[], relation: string): boolean {
  return inputs.some((input) => input === relation || readsRaw(graph, graph.makers.get(input)?.inputs ?? [], relation));
}

function columnLineage(graph: Graph, start: ColumnSource): ColumnLineage {
  const columns = columnsOf(graph, start.relation);
  if (columns && !columns.includes(start.column)) {
    const mend = `${start.relation} has no column ${start.column}; it has ${columns.join(", ")}.`;
    throw new UserError(mend, { key: `${start.relation}.${start.column}` });
  }
  const unresolved = new Map<string, ColumnSource>();
  const up = reach(start, (column) => {
    const direct = directSources(graph, column);
    if (!direct.isResolved) unresolved.set(keyOf(column), column);
    return direct.sources;
  });
  const users = new Map<string, ColumnSource[]>();
  for (const relation of graph.makers.keys()) {
    for (const column of columnsOf(graph, relation) ?? []) {
      for (const source of directSources(graph, { relation, column }).sources) {
        users.set(keyOf(source), [...(users.get(keyOf(source)) ?? []), { relation, column }]);
      }
    }
  }
  const dependents = reach(start, (column) => users.get(keyOf(column)) ?? []);
  return { name: start.column, sources: up, dependents, unresolved: [...unresolved.values()] };
}

/** Columns of other relations whose values a column passes on as they stand; none where it is computed, or that is not known. */
export function passedOn(graph: Graph, { relation, column }: ColumnSource): ColumnSource[] {
  const step = graph.makers.get(relation);
  if (step?.kind === "contract") return directSources(graph, { relation, column }).sources;
  const output = step?.kind === "sql" ? step.model.output.columns.find(({ name }) => name === column) : undefined;
  return output?.isCopy ? output.sources : [];
}

function directSources(
  graph: Graph,
  { relation, column }: ColumnSource,
): { sources: ColumnSource[]; isResolved: boolean } {
  const step = graph.makers.get(relation);
  if (!step) return { sources: [], isResolved: graph.raw.has(relation) };
  if (step.kind === "node") return { sources: [], isResolved: false };
  if (step.kind === "contract") {
    if (column === "source") return { sources: [], isResolved: true };
    return { sources: step.members.map((member) => ({ relation: member.relation, column })), isResolved: true };
  }
  const output = step.model.output.columns.find((other) => other.name === column);
  return output ?? { sources: [], isResolved: false };
}

/** The names of a relation's columns as far as the graph knows them; null where it can't. */
function columnsOf(graph: Graph, relation: string): string[] | null {
  const step = graph.makers.get(relation);
  if (step?.kind === "sql") {
    return step.model.output.isComplete ? step.model.output.columns.map((column) => column.name) : null;
  }
  return step ? Object.keys(graph.specs.get(relation)!.columns) : null;
}

function reach(start: ColumnSource, next: (column: ColumnSource) => ColumnSource[]): ColumnSource[] {
  const found = new Map<string, ColumnSource>();
  const queue = [start];
  for (let column = queue.shift(); column; column = queue.shift()) {
    for (const other of next(column)) {
      if (found.has(keyOf(other))) continue;
      found.set(keyOf(other), other);
      queue.push(other);
    }
  }
  return [...found.values()];
}

function keyOf({ relation, column }: ColumnSource): string {
  return `${relation}.${column}`;
}
