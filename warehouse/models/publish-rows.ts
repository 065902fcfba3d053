import type { ClientBase } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { quoteName } from "../database.ts";
import { quoteRelation } from "./build.ts";
import { buildName, hasValidity, type Shape } from "./catalog.ts";
import type { RelationSpec } from "./relation.ts";

export interface RowChanges {
  inserted: number;
  updated: number;
  deleted: number;
}

/** Fills a published table that has no rows. */
export async function insertAll(client: ClientBase, spec: RelationSpec, shape: Shape): Promise<RowChanges> {
  const columns = columnList(shape);
  const { rowCount } = await client.query(
    `insert into ${quoteRelation(spec.name)} (${columns}) select ${columns} from ${quoteRelation(buildName(spec.name))}`,
  );
  return { inserted: rowCount ?? 0, updated: 0, deleted: 0 };
}

/**
 * Makes a published table hold what the build table holds, writing only rows that differ. Rows are compared as they are
 * stored (`*<>`), so that json columns can be compared too and 1.0 does not pass for 1.00.
 */
export async function applyDifferences(
  client: ClientBase,
  spec: RelationSpec,
  shape: Shape,
  builtRows: number,
): Promise<RowChanges> {
  const changes = hasValidity(spec, shape)
    ? await replaceRanges(client, spec, shape)
    : await mergeRows(client, spec, shape);
  const { rows } = await client.query<{ published: number }>(
    `select count(*)::float8 as published from ${quoteRelation(spec.name)}`,
  );
  // A second row of the same key would leave no trace where the first equals the published one.
  if (rows[0]!.published !== builtRows) throw sameKey(spec);
  return changes;
}

export function sameKey(spec: RelationSpec): CodedError {
  const message = `${spec.name}: several rows have the same key (${spec.key.join(", ")}); the select must return one.`;
  return new CodedError("model_failed", message, { retryable: false });
}

/** One pass over both tables: MERGE with a full join instead of three statements with a join each. */
async function mergeRows(client: ClientBase, spec: RelationSpec, shape: Shape): Promise<RowChanges> {
  const columns = shape.columns.map((column) => quoteName(column.name));
  const values = shape.columns
    .filter((column) => !spec.key.includes(column.name))
    .map((column) => quoteName(column.name));
  const update = values.length
    ? `when matched and row(${list("t", columns)})::record *<> row(${list("b", columns)})::record
         then update set ${values.map((name) => `${name} = b.${name}`).join(", ")}`
    : "";
  const { rows } = await client.query<{ action: string; rows: number }>(
    `with changes as (
       merge into ${quoteRelation(spec.name)} as t using ${quoteRelation(buildName(spec.name))} as b on ${onKey(spec)}
       ${update}
       when not matched by target then insert (${columns.join(", ")}) values (${list("b", columns)})
       when not matched by source then delete
       returning merge_action() as action
     )
     select action, count(*)::float8 as rows from changes group by action`,
  );
  const count = (action: string) => rows.find((row) => row.action === action)?.rows ?? 0;
  return { inserted: count("INSERT"), updated: count("UPDATE"), deleted: count("DELETE") };
}

/** Ranges may not overlap at any moment, so those that go must be gone before those that come. */
async function replaceRanges(client: ClientBase, spec: RelationSpec, shape: Shape): Promise<RowChanges> {
  const columns = shape.columns.map((column) => quoteName(column.name));
  const [table, built] = [quoteRelation(spec.name), quoteRelation(buildName(spec.name))];
  const isSame = `${onKey(spec)} and row(${list("t", columns)})::record *= row(${list("b", columns)})::record`;
  const gone = await client.query(
    `delete from ${table} as t where not exists (select from ${built} as b where ${isSame})`,
  );
  const come = await client.query(
    `insert into ${table} (${columns.join(", ")}) select ${list("b", columns)} from ${built} as b
     where not exists (select from ${table} as t where ${onKey(spec)})`,
  );
  return { inserted: come.rowCount ?? 0, updated: 0, deleted: gone.rowCount ?? 0 };
}

function onKey(spec: RelationSpec): string {
  return spec.key.map((name) => `t.${quoteName(name)} = b.${quoteName(name)}`).join(" and ");
}

function list(alias: string, columns: readonly string[]): string {
  return columns.map((name) => `${alias}.${name}`).join(", ");
}

function columnList(shape: Shape): string {
  return shape.columns.map((column) => quoteName(column.name)).join(", ");
}
