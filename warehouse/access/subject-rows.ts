import type pg from "pg";
import { inTransaction, quoteName } from "../database.ts";
import { Needles } from "../erasure/needles.ts";
import { readPersonKeys } from "../erasure/plan.ts";
import { readRawTables, type RawTable } from "../erasure/raw-tables.ts";
import { scanTables } from "../erasure/scan.ts";
import type { Scope } from "../erasure/scope.ts";
import { readStateColumns, stateCondition } from "../erasure/sweep-state.ts";
import { carries, findRows, holdErased } from "../erasure/sweep-raw.ts";
import { ROUNDS } from "../erasure/sweep-tables.ts";
import { quoteRelation } from "../models/build.ts";
import type { Graph } from "../models/graph.ts";
import { findModelRows, MINE } from "./model-rows.ts";

/** Rows of one relation that are the person's. */
export interface SubjectRows {
  relation: string;
  rows: number;
  /**
   * record: what a source has sent, or an older version of it; derived: what the mart makes of it; copy: a working table
   * between the two; own: a table of the project's; state: kept to carry out the work, told under another heading.
   */
  kind: "record" | "derived" | "copy" | "own" | "state";
  /** An SQL condition on the relation as `t`. */
  where: string;
}

/**
 * Finds everything that is the person's, by the same relations as an erasure, in the caller's transaction; it makes the
 * temporary tables `erased_tokens`, `erased_people` and `subject_rows` (relation, record_key, is_anothers).
 * @param facts raw tables whose records outlive their person
 * @returns the relations with their rows, and errors for models that hold something and can't be traversed
 */
export async function findSubjectRows(
  client: pg.ClientBase,
  graph: Graph,
  facts: ReadonlyMap<string, readonly string[]>,
  scope: Scope,
): Promise<{ found: SubjectRows[]; errors: string[] }> {
  await holdErased(client, [scope]);
  await client.query(
    `create temporary table subject_rows (relation text, record_key uuid, is_anothers boolean, primary key (relation, record_key)) on commit drop`,
  );
  const tables = await readRawTables(client);
  for (let round = 1, added = 1; added > 0 && round <= ROUNDS; round += 1) {
    added = 0;
    for (const table of tables) {
      if (round > 1 && table.parents.length === 0) continue;
      await findRows(client, table, facts.has(table.relation), MINE);
      const { rowCount } = await client.query(
        "insert into subject_rows select $1, record_key, is_anothers from found on conflict do nothing",
        [table.relation],
      );
      await client.query("drop table found");
      added += rowCount ?? 0;
    }
  }
  await client.query("analyze subject_rows");
  const wheres: Omit<SubjectRows, "rows">[] = tables.flatMap((table) => recordRelations(table));
  const { reached, strange } = await findModelRows(client, graph, tables);
  wheres.push(...reached);
  for (const { relation, column } of await readPersonKeys(client)) {
    if (graph.specs.has(relation)) continue;
    wheres.push({ relation, kind: "own", where: `t.${quoteName(column)} in (select customer_id from erased_people)` });
  }
  for (const state of await readStateColumns(client)) {
    wheres.push({ relation: state.relation, kind: "state", where: stateCondition(state) });
  }
  const found: SubjectRows[] = [];
  for (const each of wheres) {
    const { rows } = await client.query<{ count: number }>(
      `select count(*)::float8 as count from ${quoteRelation(each.relation)} as t where ${each.where}`,
    );
    if (rows[0]?.count) found.push({ ...each, rows: rows[0].count });
  }
  const names = new Set(strange);
  const { findings } = await scanTables([client], new Needles(scope), (relation) => names.has(relation));
  const errors = findings.map(
    ({ place, count }) =>
      `${place} holds ${count} ${count === 1 ? "row" : "rows"} of the person, and no column tells whose they are; give the model a customer_id with a foreign key to core.people, or the record_key it is made of`,
  );
  return { found, errors };
}

function recordRelations(table: RawTable): Omit<SubjectRows, "rows">[] {
  const key = `(select record_key from subject_rows where relation = '${table.relation.replaceAll("'", "''")}')`;
  return [
    { relation: table.relation, kind: "record", where: `t.record_key in ${key}` },
    { relation: `${table.relation}__history`, kind: "record", where: `(t.record_key in ${key} or ${carries(table)})` },
  ];
}

/** Runs `work` under one snapshot, over what {@link findSubjectRows} has found; nothing of it is kept. */
export async function underSnapshot<T>(pool: pg.Pool, work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
  return await inTransaction(pool, work, "begin isolation level repeatable read");
}
