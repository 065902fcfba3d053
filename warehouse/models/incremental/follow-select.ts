import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import { buildName, hasValidity } from "../catalog.ts";
import type { Follow } from "../relation.ts";
import type { Reading } from "../select.ts";
import type { SqlStep } from "../steps.ts";
import { statementError } from "../sql-errors.ts";
import type { Statement } from "../syntax.ts";
import type { Replaced } from "./apply.ts";
import { changedValues, isTouched, joinValues, type Values } from "./changes.ts";
import { groupByKey, type Group } from "./by-key.ts";
import { Parameters } from "./condition.ts";
import { namesRead } from "./read-columns.ts";
import { ofOwnRows, type FollowingModel } from "./of-own-rows.ts";
import { isPlainJoin, restrict } from "./restrict.ts";
import { changesOf, type Run } from "./run.ts";

/** Above this share of a relation's rows, an index no longer beats reading all of it. */
const MOST = 0.25;
/** Tables up to this many rows are not worth the question. */
const FEW = 2000;

/** A select that follows inputs: a model's, or a check's. */
export interface Follower {
  statement: Statement;
  readings: readonly Reading[];
  follows: readonly Follow[];
}

/**
 * The values that a select has to be computed for again. Null where that can't be told or would be most of its rows;
 * none where nothing has changed that it reads.
 * @param required columns of the result that are never null
 * @param rows how many rows the result has
 * @param model null for a check, which has no rows of its own
 */
export async function findTouched(
  run: Run,
  { statement, readings, follows }: Follower,
  required: readonly string[],
  rows: number,
  model: FollowingModel | null,
): Promise<Group[] | null> {
  const names = namesRead(statement);
  const groups = new Map<string, Omit<Group, "values"> & { lists: Values[] }>();
  for (const relation of new Set(readings.map((reading) => reading.relation))) {
    const changes = changesOf(run, relation);
    if (!changes) continue;
    const columns = run.published.get(relation)!.columns.map((column) => column.name);
    const read = names && columns.filter((name) => names.has(name));
    if (!(await isTouched(run.client, changes, read))) continue;
    const own = follows.filter((follow) => follow.relation === relation);
    if (!own.length) return null;
    for (const follow of own) {
      const values = await changedValues(run.client, changes, follow, read);
      if (values.hasNull && !follow.columns.every((name) => required.includes(name))) return null;
      if (!values.count) continue;
      const key = follow.columns.join();
      const group = groups.get(key) ?? { columns: follow.columns, relations: [], lists: [] };
      groups.set(key, { ...group, relations: [...group.relations, relation], lists: [...group.lists, values] });
    }
  }
  const most = Math.max(FEW, rows * MOST);
  const found: Group[] = [];
  for (const { lists, ...rest } of groups.values()) {
    const group = { ...rest, values: joinValues(lists) };
    const own = group.values.count > most && model ? await ofOwnRows(run, model, group) : group;
    if (!own || own.values.count > most) return null;
    if (own.values.count) found.push(own);
  }
  return found.length > 1 && !isPlainJoin(statement.select) ? null : found;
}

/**
 * The select, cut down to the rows of those values. The condition on its result makes it right; with one group, the same
 * condition on every input that it follows makes it fast where Postgres can't move it below a CTE.
 * @param typeOf the type of a column that it returns
 */
export function selectTouched(
  run: Run,
  { statement, readings, follows }: Follower,
  groups: readonly Group[],
  typeOf: (column: string) => string,
  parameters: Parameters,
): string[] {
  const [only] = groups;
  const conditionOf = (relation: string) => {
    if (groups.length > 1 || !only) return null;
    const own = follows.filter((other) => other.relation === relation && other.columns.join() === only.columns.join());
    if (!own.length) return null;
    const shape = run.published.get(relation)!;
    const type = (name: string) => shape.columns.find((column) => column.name === name)!.type;
    // A relation that is followed by several of its columns is read by any of them.
    return own.map(({ from }) => parameters.among("restricted", from!, type, only.values)).join(" or ");
  };
  const text = restrict(statement, readings, conditionOf);
  const conditions = groups.map(({ columns, values }) => parameters.among("q", columns, typeOf, values));
  // A row of several groups comes with the first.
  return conditions.map((condition, i) => {
    const others = conditions.slice(0, i).map((other) => ` and (${other}) is not true`);
    return `(\n${text}\n) as q where ${condition}${others.join("")}`;
  });
}

/** Fills the build table of a model with the rows that may have changed; returns which rows they take the place of. */
export async function followModel(run: Run, step: SqlStep, touched: readonly Group[]): Promise<Replaced> {
  const { client } = run;
  const groups = await groupByKey(run, step.model, touched);
  const { spec, statement, readings } = step.model;
  const shape = run.published.get(spec.name)!;
  const typeOf = (name: string) => shape.columns.find((column) => column.name === name)!.type;
  const columns = shape.columns.map((column) => quoteName(column.name)).join(", ");
  const built = quoteRelation(buildName(spec.name));
  await client.query(`set local role transformer; drop table if exists ${built} cascade;
    create table ${built} (like ${quoteRelation(spec.name)})`);
  const parameters = new Parameters();
  const parts = selectTouched(run, { statement, readings, follows: spec.follows }, groups, typeOf, parameters);
  const sql = `insert into ${built} (${columns}) ${parts.map((part) => `select ${columns} from ${part}`).join("\nunion all\n")}`;
  try {
    await client.query(sql, [...parameters.values]);
  } catch (error) {
    throw statementError(error, { file: step.file });
  }
  await client.query(`analyze ${built} (${spec.key.map((name) => quoteName(name)).join(", ")}); reset role`);
  const replaced = new Parameters();
  const [only] = groups;
  // A span that changes has to go before it comes again.
  const isByKey = groups.length === 1 && only?.columns.join() === spec.key.join() && !hasValidity(spec, shape);
  const condition = isByKey
    ? replaced.gone("t", spec.key, typeOf, only.values, built)
    : groups.map(({ columns: own, values }) => replaced.among("t", own, typeOf, values)).join(" or ");
  return { condition: `(${condition})`, values: replaced.values };
}
