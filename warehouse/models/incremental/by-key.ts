import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import type { Model } from "../model.ts";
import { joinValues, type Values } from "./changes.ts";
import { Parameters } from "./condition.ts";
import type { Run } from "./run.ts";

/** More rows than this are found by their own columns. */
const MOST = 20_000;

/** Values that rows may have changed for, by the columns of the model that hold them. */
export interface Group {
  columns: readonly string[];
  values: Values;
  /** The relations whose changes brought the values. */
  relations: readonly string[];
}

/**
 * The groups, with those of relations that are only looked up turned into keys of the published rows that look there:
 * whatever else has changed of such a row is told by its key anyway. An input without an index on those columns need not
 * be read whole then: for a new product, all events.
 */
export async function groupByKey(run: Run, model: Model, groups: readonly Group[]): Promise<readonly Group[]> {
  const { spec } = model;
  const optional = lookedUp(model);
  const isByKey = ({ columns }: Group) => columns.join() === spec.key.join();
  const keyed = groups.find(isByKey);
  if (!keyed) return groups;
  const result: Group[] = [];
  const found = [keyed.values];
  for (const group of groups) {
    if (isByKey(group)) continue;
    const isLookedUp = group.relations.every(
      (relation) =>
        optional.has(relation) && [...spec.key, ...group.columns].every((name) => isApart(model, name, relation)),
    );
    const values = isLookedUp ? await publishedKeys(run, model, group) : null;
    if (values) found.push(values);
    else result.push(group);
  }
  return [{ ...keyed, values: joinValues(found) }, ...result];
}

/** Keys of the published rows with the values of a group; null for too many. */
async function publishedKeys(run: Run, { spec }: Model, { columns, values }: Group): Promise<Values | null> {
  const shape = run.published.get(spec.name)!;
  const parameters = new Parameters();
  const typeOf = (name: string) => shape.columns.find((column) => column.name === name)!.type;
  const condition = parameters.among("t", columns, typeOf, values);
  const { rows } = await run.client.query<string[]>({
    text: `select ${spec.key.map((name) => `t.${quoteName(name)}::text`).join(", ")}
      from ${quoteRelation(spec.name)} as t where ${condition} limit ${MOST + 1}`,
    values: [...parameters.values],
    rowMode: "array",
  });
  if (rows.length > MOST) return null;
  return { columns: spec.key.map((_, i) => rows.map((row) => row[i]!)), count: rows.length, hasNull: false };
}

type Tree = Record<string, any>;

/**
 * Relations that add columns to the rows of the others and neither bring rows nor take them away: the right sides of left
 * joins around all else, in a select without further conditions, that are read nowhere else.
 */
function lookedUp({ statement, readings }: Model): ReadonlySet<string> {
  const select = statement.select as Tree;
  const [first, ...others] = (select["fromClause"] ?? []) as Tree[];
  const found = new Set<string>();
  if (select["whereClause"] || others.length) return found;
  for (
    let join = first?.["JoinExpr"];
    join?.jointype === "JOIN_LEFT" && join.rarg["RangeVar"];
    join = join.larg["JoinExpr"]
  ) {
    const { schemaname, relname } = join.rarg["RangeVar"];
    found.add(`${schemaname}.${relname}`);
  }
  for (const relation of found) {
    if (readings.filter((reading) => reading.relation === relation).length !== 1) found.delete(relation);
  }
  return found;
}

/** Whether a column is made without a relation. */
function isApart({ output }: Model, name: string, relation: string): boolean {
  const column = output.columns.find((other) => other.name === name);
  return column !== undefined && column.isResolved && column.sources.every((source) => source.relation !== relation);
}
