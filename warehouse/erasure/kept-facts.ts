import { columnName } from "../../domain/columns.ts";
import type { Project } from "../../domain/project.ts";
import { rawTableName } from "../../domain/streams.ts";
import type { Graph } from "../models/graph.ts";
import type { SqlStep } from "../models/steps.ts";

/** Contracts whose records the business keeps without their person; records of all others are the person's own. */
const KEPT = ["orders", "order_lines", "products", "ad_spend", "fx_rates"];
/** Of these contracts, the columns that lead back to the person by way of the source. */
const TRACEABLE = new Set(["order_number"]);

/**
 * The raw tables whose records are facts that outlive their person, each with the open columns that lose their values
 * with it: those that are made into nothing but a traceable attribute, and the source's own number of a parent record.
 */
export function keptFacts(graph: Graph, project: Pick<Project, "sources">): Map<string, string[]> {
  const facts = new Map<string, string[]>();
  for (const contract of KEPT) for (const table of tablesOf(graph, contract) ?? []) facts.set(table, []);
  const uses = usesOf(graph);
  for (const { streams } of project.sources) {
    for (const { source, name, schema } of streams) {
      const table = `raw.${rawTableName(source, name)}`;
      if (!facts.has(table)) continue;
      const numbers = (schema.references ?? []).flatMap(({ field }) => [field].flat().map((each) => columnName(each)));
      const isOpen = (column: string): boolean =>
        Object.entries(schema.properties).some(([field, { personal }]) => !personal && columnName(field) === column);
      const columns = [...(uses.get(table)?.keys() ?? []), ...numbers].filter((column) => {
        const targets = uses.get(table)?.get(column) ?? [];
        return (
          isOpen(column) &&
          (targets.length > 0 || numbers.includes(column)) &&
          targets.every((each) => TRACEABLE.has(each))
        );
      });
      facts.set(table, [...new Set(columns)]);
    }
  }
  return facts;
}

/** The raw tables whose records become a contract's; null where there is no such contract. */
export function tablesOf(graph: Graph, contract: string): string[] | null {
  const step = graph.steps.find((each) => each.kind === "contract" && each.contract.name === contract);
  if (step?.kind !== "contract") return null;
  return step.members.flatMap(({ relation }) =>
    (graph.makers.get(relation) as SqlStep).inputs.filter((table) => graph.raw.get(table)?.changesWith === table),
  );
}

/** By raw table and column, the contract columns that are made of it. */
function usesOf(graph: Graph): Map<string, Map<string, string[]>> {
  const uses = new Map<string, Map<string, string[]>>();
  for (const step of graph.steps) {
    if (step.kind !== "sql" || step.model.layer !== "staging") continue;
    for (const { name, sources } of step.model.output.columns) {
      for (const { relation, column } of sources) {
        const columns = uses.get(relation) ?? new Map<string, string[]>();
        columns.set(column, [...(columns.get(column) ?? []), name]);
        uses.set(relation, columns);
      }
    }
  }
  return uses;
}
