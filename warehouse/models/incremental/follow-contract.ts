import { quoteName } from "../../database.ts";
import { quoteRelation, versionedBy } from "../build.ts";
import { buildName } from "../catalog.ts";
import { contractQuery, explainNull } from "../compute-contract.ts";
import type { Model } from "../model.ts";
import { statementError } from "../sql-errors.ts";
import type { ContractStep, SqlStep } from "../steps.ts";
import type { Replaced } from "./apply.ts";
import { hasWindow } from "./restrict.ts";
import { Parameters } from "./condition.ts";
import type { Run } from "./run.ts";

/**
 * Whether each of a staging model's rows is made of one row of one raw table and keeps its record_key: then a record that
 * landed changes the row of that key and no other.
 */
export function isRowWise(model: Model): boolean {
  return isRowWiseSelect(model.statement.select as Tree) && model.readings.every((reading) => reading.schema === "raw");
}

type Tree = Record<string, any>;

function isRowWiseSelect(select: Tree): boolean {
  if (select["larg"]) {
    return select["op"] === "SETOP_UNION" &&
      select["all"] === true &&
      !select["withClause"] &&
      !select["limitCount"] &&
      !select["limitOffset"]
      ? isRowWiseSelect(select["larg"]) && isRowWiseSelect(select["rarg"])
      : false;
  }
  const clauses = [
    "withClause",
    "groupClause",
    "havingClause",
    "distinctClause",
    "windowClause",
    "limitCount",
    "limitOffset",
    "valuesLists",
  ];
  if (clauses.some((clause) => select[clause]) || hasWindow(select["targetList"]) || holdsSelect(select)) return false;
  const from = (select["fromClause"] ?? []) as Tree[];
  if (from.length !== 1 || from[0]!["RangeVar"]?.schemaname !== "raw") return false;
  if (from[0]!["RangeVar"].relname.endsWith("__history")) return false;
  return ((select["targetList"] ?? []) as Tree[]).some(({ ResTarget: target }) => {
    const fields = (target.val?.ColumnRef?.fields ?? []) as Tree[];
    if (fields.at(-1)?.["A_Star"]) return true;
    return fields.at(-1)?.["String"]?.sval === "record_key" && (target.name ?? "record_key") === "record_key";
  });
}

/** Whether a subselect stands in a select's expressions. */
function holdsSelect(select: Tree): boolean {
  let count = 0;
  JSON.stringify(select, (key, value: unknown) => {
    if (key === "SelectStmt" || key === "subselect") count++;
    return value;
  });
  return count > 0;
}

/** The raw tables whose records may have changed since the contract was computed. */
function changedRaw(run: Run, step: ContractStep): string[] {
  const tables = step.members.flatMap((member) => run.graph.makers.get(member.relation)!.inputs);
  return [...new Set(tables)].filter((table) => {
    const recorded = step.members
      .map((member) => run.states.get(member.relation)?.inputVersions?.[table])
      .find((version) => version !== undefined);
    return (run.states.get(versionedBy(run.graph, table))?.version ?? 0) !== (recorded ?? 0);
  });
}

/** Fills the build table of a contract with the records that have changed since; null where that can't be told. */
export async function followContract(run: Run, step: ContractStep): Promise<Replaced | "nothing" | null> {
  const { client } = run;
  const horizon = run.states.get(step.name)?.horizon;
  const members = step.members.map((member) => (run.graph.makers.get(member.relation) as SqlStep).model);
  if (!horizon) return null;
  const tables = changedRaw(run, step);
  const readers = members.filter((model) => model.readings.some((reading) => tables.includes(reading.relation)));
  if (!readers.every(isRowWise)) return null;
  const keys = tables.map(
    (table) => `select record_key from ${quoteRelation(table)} where landed_xid >= $1::text::xid8`,
  );
  if (!keys.length) return "nothing";
  const { rows } = await client.query<{ keys: string[] }>(
    `select coalesce(json_agg(record_key), '[]') as keys from (
       ${keys.join("\nunion\n")}
       union
       select record_key from ops.removed_records where relation = any ($2) and removed_xid >= $1::text::xid8
     ) as changed`,
    [horizon, tables],
  );
  const changed = rows[0]!.keys;
  if (!changed.length) return "nothing";
  const shape = run.published.get(step.name)!;
  const columns = shape.columns.map((column) => quoteName(column.name)).join(", ");
  const built = quoteRelation(buildName(step.name));
  await client.query(`set local role transformer; drop table if exists ${built} cascade;
    create table ${built} (like ${quoteRelation(step.name)})`);
  const query = await contractQuery(client, run.reading, step);
  await client.query("savepoint filled");
  try {
    await client.query(
      `insert into ${built} (${columns}) select ${columns} from (${query}) as q where q.record_key = any ($1::uuid[])`,
      [changed],
    );
  } catch (error) {
    await client.query("rollback to savepoint filled");
    await explainNull(client, run.reading, step, error);
    throw statementError(error, { file: step.members.map((member) => member.file).join(", ") });
  }
  await client.query(`analyze ${built} (record_key); reset role`);
  const gone = new Parameters();
  const values = { columns: [changed], count: changed.length, hasNull: false };
  return { condition: gone.gone("t", ["record_key"], () => "uuid", values, built), values: gone.values };
}
