import type pg from "pg";
import type { ErasurePlan, PlannedRows } from "../../domain/requests.ts";
import { inTransaction, quoteName } from "../database.ts";
import type { Graph } from "../models/graph.ts";
import { quoteRelation } from "../models/build.ts";
import { Needles } from "./needles.ts";
import { readRawTables } from "./raw-tables.ts";
import { scanTables } from "./scan.ts";
import type { Scope } from "./scope.ts";
import { readStateColumns, stateCondition } from "./sweep-state.ts";
import { holdErased, sweepRaw } from "./sweep-raw.ts";

/** Schemas of state: what a table there holds of people is told by its columns' names. */
const STATE = /^(?:ops|privacy|vault)\./;

/**
 * What an erasure would do: counts per table, found by doing it in a transaction that is rolled back, so that plan and
 * sweep can't differ. Tables come from the streams' schemas, the catalogue, foreign keys and the model graph; a table that
 * holds something of the person and that none of them reaches is an error with its mend.
 * @param facts raw tables whose records stay without their person
 */
export async function planErasure(
  pool: pg.Pool,
  graph: Graph,
  facts: ReadonlyMap<string, readonly string[]>,
  scope: Scope,
): Promise<ErasurePlan> {
  const relations = await rehearse(pool, facts, scope);
  const reached = new Set(graph.specs.keys());
  const raw = await readRawTables(pool);
  for (const { relation } of raw) for (const name of [relation, `${relation}__history`]) reached.add(name);
  const { derived, own } = await countByPerson(pool, graph, scope);
  const errors: string[] = [];
  const client = await pool.connect();
  try {
    const strange = (relation: string): boolean =>
      !reached.has(relation) && !STATE.test(relation) && !relation.startsWith("build_");
    const scanned = await scanTables(client, new Needles(scope), (relation) => strange(relation) && !own.has(relation));
    for (const { place, count } of scanned.findings) {
      errors.push(
        `${place} holds ${count} ${count === 1 ? "row" : "rows"} of the person, and no stream, model or foreign key reaches it; drop it, make it a model, or give it a foreign key to core.people`,
      );
    }
    for (const relation of own.keys()) {
      if (await isErasable(client, relation)) continue;
      errors.push(
        `table ${relation} points at core.people, and the role privacy may not delete from it; grant select, delete on it to privacy`,
      );
    }
    if (scope.shared > 0 && scope.tokens.length === 0) {
      errors.push(
        "what was given is used by many people or blocked, so it stands for nobody; name the person by another identifier",
      );
    }
    return {
      identifiers: scope.identifiers.length,
      people: scope.customers.length,
      relations: [
        ...relations,
        ...derived,
        ...[...own].map(([relation, rows]) => ({ relation, rows, action: "delete" as const })),
      ],
      errors,
      unscanned: scanned.unscanned,
    };
  } finally {
    client.release();
  }
}

class Rehearsed extends Error {}

async function rehearse(
  pool: pg.Pool,
  facts: ReadonlyMap<string, readonly string[]>,
  scope: Scope,
): Promise<PlannedRows[]> {
  const planned = new Map<string, PlannedRows>();
  const add = (relation: string, action: PlannedRows["action"], rows: number): void => {
    if (rows === 0) return;
    const before = planned.get(`${relation} ${action}`)?.rows ?? 0;
    planned.set(`${relation} ${action}`, { relation, action, rows: before + rows });
  };
  await inTransaction(pool, async (client) => {
    await holdErased(client, scope);
    const tables = await readRawTables(client);
    for (let round = 1, found = 1; found > 0 && round <= 20; round += 1) {
      found = 0;
      for (const table of tables) {
        if (round > 1 && table.parents.length === 0) continue;
        const swept = await sweepRaw(client, table, facts.get(table.relation) ?? null);
        add(table.relation, "delete", swept.deleted);
        add(table.relation, "strip", swept.stripped);
        add(table.relation, "cut", swept.cut);
        add(`${table.relation}__history`, "delete", swept.history);
        found += swept.deleted + swept.stripped + swept.cut;
      }
    }
    for (const state of await readStateColumns(client)) {
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::float8 as count from ${quoteName(...state.relation.split("."))} where ${stateCondition(state)}`,
      );
      add(state.relation, "delete", rows[0]?.count ?? 0);
    }
    throw new Rehearsed();
  }).catch((error: unknown) => {
    if (!(error instanceof Rehearsed)) throw error;
  });
  return [...planned.values()];
}

/** Rows that point at the person by a foreign key to core.people: of models, and of the project's own tables. */
async function countByPerson(
  pool: pg.Pool,
  graph: Graph,
  { customers }: Scope,
): Promise<{ derived: PlannedRows[]; own: Map<string, number> }> {
  const derived: PlannedRows[] = [];
  const own = new Map<string, number>();
  for (const { relation, column } of await readPersonKeys(pool)) {
    const isModel = graph.specs.has(relation);
    const { rows } = await pool
      .query<{ count: number }>(
        `select count(*)::float8 as count from ${quoteRelation(relation)} where ${quoteName(column)} = any($1::uuid[])`,
        [customers],
      )
      .catch(() => ({ rows: [{ count: 0 }] }));
    const count = rows[0]?.count ?? 0;
    if (!isModel) own.set(relation, (own.get(relation) ?? 0) + count);
    else if (count > 0) derived.push({ relation, rows: count, action: "follow" });
  }
  return { derived, own };
}

/** Columns with a foreign key to core.people. */
export async function readPersonKeys(client: pg.ClientBase | pg.Pool): Promise<{ relation: string; column: string }[]> {
  const { rows } = await client.query<{ relation: string; column: string }>(
    `select n.nspname || '.' || c.relname as relation, a.attname as column
     from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum = f.conkey[1]
     where f.contype = 'f' and f.confrelid = to_regclass('core.people') and n.nspname !~ '^build_'
     order by 1, 2`,
  );
  return rows;
}

async function isErasable(client: pg.ClientBase, relation: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    "select has_table_privilege($1::regclass, 'select') and has_table_privilege($1::regclass, 'delete') as may",
    [quoteRelation(relation)],
  );
  return rows[0]?.may ?? false;
}
