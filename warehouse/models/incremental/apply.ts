import type { ClientBase } from "pg";
import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import { buildName, hasValidity, type Shape } from "../catalog.ts";
import { sameKey, type RowChanges } from "../publish-rows.ts";
import type { RelationSpec } from "../relation.ts";

/** Which rows of the published table `t` the build table's rows take the place of; null: of all. */
export type Replaced = { condition: string; values: readonly unknown[] } | null;

/** Writes rows whose keys are surely not published, and keeps them in `changes`. */
export async function addRows(
  client: ClientBase,
  spec: RelationSpec,
  shape: Shape,
  added: string,
  changes: string,
): Promise<void> {
  const columns = shape.columns.map((column) => quoteName(column.name)).join(", ");
  await client.query(
    `with come as (
       insert into ${quoteRelation(spec.name)} (${columns}) select ${columns} from ${added} returning new as became
     )
     insert into ${changes} (new) select became from come`,
  );
}

/**
 * Brings the build table's rows into the published table: rows that are new or differ are written, rows that it was to
 * replace and does not hold are deleted. Every change is kept in `changes`, old row and new.
 * Throws a CodedError where the build table holds a key twice.
 */
export async function applyRows(
  client: ClientBase,
  spec: RelationSpec,
  shape: Shape,
  replaced: Replaced,
  changes: string,
): Promise<RowChanges> {
  const [table, built] = [quoteRelation(spec.name), quoteRelation(buildName(spec.name))];
  const key = spec.key.map((name) => quoteName(name));
  const columns = shape.columns.map((column) => quoteName(column.name));
  const row = (alias: string) => `row(${columns.map((name) => `${alias}.${name}`).join(", ")})::record`;
  const onKey = key.map((name) => `t.${name} = b.${name}`).join(" and ");
  const { rowCount } = await client.query(
    `select from ${built} group by ${key.join(", ")} having count(*) > 1 limit 1`,
  );
  if (rowCount) throw sameKey(spec);
  // Ranges may not overlap at any moment, so a span that changes is deleted first and comes again.
  const isRange = hasValidity(spec, shape);
  const isDeletedFirst = isRange || replaced !== null;
  if (isDeletedFirst) {
    const stays = isRange ? `${onKey} and ${row("t")} *= ${row("b")}` : onKey;
    await client.query(
      `with gone as (
         delete from ${table} as t where ${replaced?.condition ?? "true"} and not exists (select from ${built} as b where ${stays})
         returning t as old
       )
       insert into ${changes} (old) select old from gone`,
      replaced ? [...replaced.values] : [],
    );
  }
  const values = columns.filter((name) => !key.includes(name));
  const update = `when matched and ${row("t")} *<> ${row("b")} then update set ${values.map((name) => `${name} = b.${name}`).join(", ")}`;
  await client.query(
    `with come as (
       merge into ${table} as t using ${built} as b on ${onKey}
       ${values.length && !isRange ? update : ""}
       when not matched by target then insert (${columns.join(", ")}) values (${columns.map((name) => `b.${name}`).join(", ")})
       ${isDeletedFirst ? "" : "when not matched by source then delete"}
       returning old as was, new as became
     )
     insert into ${changes} select was, became from come`,
  );
  const { rows } = await client.query<RowChanges>(
    `select count(*) filter (where old is null)::float8 as inserted, count(*) filter (where new is null)::float8 as deleted,
       count(*) filter (where not (old is null) and not (new is null))::float8 as updated from ${changes}`,
  );
  return rows[0]!;
}
