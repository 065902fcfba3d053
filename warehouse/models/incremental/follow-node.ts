import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import { buildName } from "../catalog.ts";
import type { RelationSpec } from "../relation.ts";
import { statementError } from "../sql-errors.ts";
import type { NodeStep } from "../steps.ts";
import type { Replaced } from "./apply.ts";
import { differs } from "./changes.ts";
import { Parameters } from "./condition.ts";
import { findTouched, selectTouched } from "./follow-select.ts";
import { changesOf, isUnknown, type Run } from "./run.ts";

/** What a node has made of changes: of each output with work, the quoted relation of rows that are surely new, or null. */
export type Followed = ReadonlyMap<string, string | null>;

/** Lets a node compute what has changed of its inputs; null where it has to compute all. */
export async function followNode(run: Run, step: NodeStep): Promise<Followed | null> {
  const { client, graph } = run;
  if (!step.node.computeChanges) return null;
  // Of the tables of changes, which go at the end, it is enough to know how large they are and how many values they have.
  await client.query("savepoint followed; set local role transformer; set local default_statistics_target = 10");
  for (const { name } of step.outputs) {
    await client.query(`drop table if exists ${quoteRelation(buildName(name))}, ${touchedName(name)} cascade`);
  }
  const added = new Map<string, string>();
  const outputs = new Set(step.outputs.map((spec) => spec.name));
  const own = (relation: string, name: string): string => {
    if (!outputs.has(relation)) throw new Error(`${step.name} does not declare the output ${relation}`);
    return name;
  };
  try {
    const isDone = await step.node.computeChanges({
      client,
      input: quoteRelation,
      output: (relation) => own(relation, quoteRelation(buildName(relation))),
      touched: (relation) => own(relation, touchedName(relation)),
      added: (relation) => {
        added.set(relation, own(relation, addedName(relation)));
        return addedName(relation);
      },
      published: (relation) => (run.published.has(relation) ? quoteRelation(relation) : null),
      changes: (relation, columns) => changedKeys(run, step, relation, columns),
      touchedValues: async (select, column, rows) => {
        const groups = await findTouched(run, select, [column], rows, null);
        return groups && (groups[0]?.values.columns[0] ?? []);
      },
      rowsWith: (select, { name, type }, values) => {
        const parameters = new Parameters();
        const group = {
          columns: [name],
          relations: [],
          values: { columns: [values], count: values.length, hasNull: false },
        };
        const [part] = selectTouched(run, select, [group], () => type, parameters);
        return { sql: `select q.${quoteName(name)} from ${part}`, parameters: [...parameters.values] };
      },
      rules: graph.settings.identity,
    });
    if (!isDone) {
      await client.query("rollback to savepoint followed");
      return null;
    }
    const followed = new Map<string, string | null>();
    for (const { name } of step.outputs) {
      const [built, touched] = [quoteRelation(buildName(name)), touchedName(name)];
      const news = added.get(name) ?? null;
      const { rowCount } = await client.query(
        `(select from ${built} limit 1) union all (select from ${touched} limit 1)`,
      );
      if (!rowCount && news === null) continue;
      if (rowCount) await client.query(`analyze ${built}; analyze ${touched}`);
      followed.set(name, news);
    }
    await client.query("reset role; set local default_statistics_target to default");
    return followed;
  } catch (error) {
    throw statementError(error, { file: step.file });
  }
}

function changedKeys(run: Run, step: NodeStep, relation: string, columns?: readonly string[]): string | null {
  const spec = run.graph.specs.get(relation);
  if (!spec) return isUnknown(run, step, relation) ? quoteRelation(relation) : null;
  const changes = changesOf(run, relation);
  if (!changes) return null;
  const key = spec.key.map((name) => quoteName(name));
  return `(select ${key.map((name) => `coalesce((new).${name}, (old).${name}) as ${name}`).join(", ")}, new as now from ${changes.table}
    ${columns ? `where ${differs(["old", "new"], columns)}` : ""})`;
}

/** The rows that a node has named as touched; of a table without spans, those alone that have not come again. */
export function touchedRows(spec: RelationSpec): Replaced {
  const touched = touchedName(spec.name);
  const on = (other: string) =>
    spec.key.map((name) => `${other}.${quoteName(name)} = touched.${quoteName(name)}`).join(" and ");
  // Said of the few that are touched, so that what came again is not looked up in the published table.
  const isGone = `not exists (select from ${quoteRelation(buildName(spec.name))} as again where ${on("again")})`;
  const condition = `exists (select from ${touched} as touched where ${on("t")}${spec.key.includes("valid") ? "" : ` and ${isGone}`})`;
  return { condition, values: [] };
}

function addedName(relation: string): string {
  return quoteRelation(`${buildName(relation)}__added`);
}

function touchedName(relation: string): string {
  return quoteRelation(`${buildName(relation)}__touched`);
}
