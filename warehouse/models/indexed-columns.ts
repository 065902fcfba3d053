import { selectsOf, type Graph } from "./graph.ts";
import type { RelationSpec } from "./relation.ts";

/** Columns of a table by which its rows are looked up: its foreign keys, what it follows by, and what it is followed by. */
export function indexedColumns(graph: Graph, spec: RelationSpec): string[][] {
  const followers = [...graph.specs.values(), ...graph.checks, ...selectsOf(graph.steps)].flatMap(
    (other) => other.follows,
  );
  const lists = [
    ...spec.foreignKeys.map(({ columns }) => columns),
    ...spec.follows.map(({ columns }) => columns),
    ...followers.flatMap(({ relation, from }) => (relation === spec.name && from ? [from] : [])),
  ];
  return [...new Map(lists.map((columns) => [columns.join(), columns])).values()];
}
