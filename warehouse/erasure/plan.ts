import type pg from "pg";
import type { ErasurePlan, PlannedRows } from "../../domain/requests.ts";
import type { HeldRows } from "../../domain/retention.ts";
import { quoteName, rehearse } from "../database.ts";
import type { Graph } from "../models/graph.ts";
import { countHeld } from "../holds/set-aside.ts";
import { quoteRelation } from "../models/build.ts";
import type { Retention } from "../retention/rules.ts";
import { Needles } from "./needles.ts";
import { readRawTables } from "./raw-tables.ts";
import { scanTables } from "./scan.ts";
import type { Scope } from "./scope.ts";
import { countState, readStateColumns } from "./sweep-state.ts";
import { holdErased, sweepRaw, type SweptRows } from "./sweep-raw.ts";
import { ROUNDS } from "./sweep-tables.ts";

/** Schemas of state: what a table there holds of people is told by its columns' names. */
const STATE = /^(?:ops|privacy|vault)\./;

/**
 * What erasures would do, each for itself: counts per table, found by doing them together in a transaction that is rolled
 * back, so that plan and sweep can't differ and a table is read once for all. Tables come from the streams' schemas, the
 * catalogue, foreign keys and the model graph; a table that holds something of a person and that none of them reaches is an
 * error with its mend.
 * @param retention which records stay without their person, and what is held of them
 * @param scopes of requests that have nothing in common
 * @returns the plans in the order of the scopes
 */
export async function planErasures(
  pool: pg.Pool,
  graph: Graph,
  retention: Retention,
  scopes: readonly Scope[],
): Promise<ErasurePlan[]> {
  const plans = scopes.map(({ identifiers, customers }): ErasurePlan => ({
    identifiers: identifiers.length,
    people: customers.length,
    relations: [],
    held: [],
    errors: [],
    unscanned: [],
  }));
  const isModel = (relation: string): boolean => graph.specs.has(relation);
  const { swept, held, kept } = await rehearseSweep(pool, retention, scopes, isModel);
  for (const { request, ...rows } of held) plans[request]?.held?.push(rows);
  for (const { request, ...rows } of swept) {
    if (request !== null) add(plans[request] as ErasurePlan, rows);
  }
  const own = new Set<string>();
  for (const { relation, column } of await readPersonKeys(pool)) {
    if (!isModel(relation)) own.add(relation);
    const action = isModel(relation) ? "follow" : "delete";
    for (const [request, rows] of await countByPerson(pool, relation, column, scopes)) {
      const plan = plans[request] as ErasurePlan;
      add(plan, { relation, action, rows });
      if (!kept.has(relation)) continue;
      plan.errors.push(
        `rows of the person in ${relation} can't be deleted, since another table points at them; let its foreign key cascade (on delete cascade), or give it one to core.people`,
      );
    }
  }
  await findUnreached(pool, graph, own, scopes, plans);
  for (const [request, { shared, tokens }] of scopes.entries()) {
    if (shared > 0 && tokens.length === 0) {
      plans[request]?.errors.push(
        "what was given is used by many people or blocked, so it stands for nobody; name the person by another identifier",
      );
    }
  }
  return plans;
}

function add({ relations }: ErasurePlan, { relation, action, rows }: PlannedRows): void {
  if (rows === 0) return;
  const known = relations.find((each) => each.relation === relation && each.action === action);
  if (known) known.rows += rows;
  else relations.push({ relation, action, rows });
}

/** Adds what no stream, model or foreign key reaches to the plans of those of whom it holds something. */
async function findUnreached(
  pool: pg.Pool,
  graph: Graph,
  own: ReadonlySet<string>,
  scopes: readonly Scope[],
  plans: readonly ErasurePlan[],
): Promise<void> {
  const reached = new Set([...graph.specs.keys(), ...own]);
  for (const { relation } of await readRawTables(pool)) {
    for (const name of [relation, `${relation}__history`]) reached.add(name);
  }
  const strange = (relation: string): boolean =>
    !reached.has(relation) && !STATE.test(relation) && !relation.startsWith("build_");
  const client = await pool.connect();
  try {
    const all = await scanTables([client], Needles.ofAll(scopes), strange);
    const holding = new Set(all.findings.map(({ place }) => place));
    for (const [request, scope] of scopes.entries()) {
      const plan = plans[request] as ErasurePlan;
      plan.unscanned.push(...all.unscanned);
      if (holding.size === 0) continue;
      const found = await scanTables([client], new Needles(scope), (relation) => holding.has(`table ${relation}`));
      for (const { place, count } of found.findings) {
        plan.errors.push(
          `${place} holds ${count} ${count === 1 ? "row" : "rows"} of the person, and no stream, model or foreign key reaches it; drop it, make it a model, or give it a foreign key to core.people`,
        );
      }
    }
    for (const relation of own) {
      if (await isErasable(client, relation)) continue;
      for (const { errors } of plans) {
        errors.push(
          `table ${relation} points at core.people, and the role privacy may not delete from it or clear its statistics; grant select, delete, maintain on it, and maintain on each of its partitions, to privacy`,
        );
      }
    }
  } finally {
    client.release();
  }
}

/** @returns what is swept, what a law holds, and the project's own tables whose rows other tables keep from being deleted */
async function rehearseSweep(
  pool: pg.Pool,
  retention: Retention,
  scopes: readonly Scope[],
  isModel: (relation: string) => boolean,
): Promise<{ swept: SweptRows[]; held: (HeldRows & { request: number })[]; kept: Set<string> }> {
  return await rehearse(pool, async (client) => {
    const held: (HeldRows & { request: number })[] = [];
    const swept: SweptRows[] = [];
    const kept = new Set<string>();
    await holdErased(client, scopes);
    const tables = await readRawTables(client);
    for (let round = 1, before = -1; before !== swept.length && round <= ROUNDS; round += 1) {
      before = swept.length;
      for (const table of tables) {
        if (round > 1 && table.parents.length === 0) continue;
        const dropped = retention.facts.get(table.relation) ?? null;
        const note = async (): Promise<void> => void held.push(...(await countHeld(client, table, retention)));
        swept.push(...(await sweepRaw(client, table, dropped, "false", note)));
      }
    }
    for (const { relation, column } of await readPersonKeys(client)) {
      if (!isModel(relation) && (await isPointedAt(client, relation, column))) kept.add(relation);
    }
    for (const state of await readStateColumns(client)) swept.push(...(await countState(client, state)));
    return { swept, held, kept };
  });
}

/** Whether another table keeps the people's rows of this one from being deleted. */
async function isPointedAt(client: pg.ClientBase, relation: string, column: string): Promise<boolean> {
  await client.query("savepoint own");
  try {
    await deleteOwn(client, relation, column);
    await client.query("set constraints all immediate; release savepoint own");
    return false;
  } catch (error) {
    await client.query("rollback to savepoint own");
    const { code } = error as { code?: string };
    // Whether it may be deleted at all is told apart.
    if (code === "42501") return false;
    // foreign_key_violation, and restrict_violation as Postgres 18 calls that of `on delete restrict`.
    if (code === "23503" || code === "23001") return true;
    throw error;
  }
}

/** Deletes the rows of a table of the project's own that point at the people of `erased_people`. */
export async function deleteOwn(client: pg.ClientBase, relation: string, column: string): Promise<number> {
  const { rowCount } = await client.query(
    `delete from ${quoteRelation(relation)} where ${quoteName(column)} in (select customer_id from erased_people)`,
  );
  return rowCount ?? 0;
}

/** Rows that point at people by a foreign key to core.people, by request: of models, and of the project's own tables. */
async function countByPerson(
  pool: pg.Pool,
  relation: string,
  column: string,
  scopes: readonly Scope[],
): Promise<Map<number, number>> {
  const requestOf = new Map(scopes.flatMap(({ customers }, request) => customers.map((id) => [id, request] as const)));
  const { rows } = await pool
    .query<{ id: string; count: number }>(
      `select ${quoteName(column)} as id, count(*)::float8 as count from ${quoteRelation(relation)}
       where ${quoteName(column)} = any($1::uuid[]) group by 1`,
      [[...requestOf.keys()]],
    )
    .catch(() => ({ rows: [] }));
  const counts = new Map<number, number>();
  for (const { id, count } of rows) {
    const request = requestOf.get(id) as number;
    counts.set(request, (counts.get(request) ?? 0) + count);
  }
  return counts;
}

/** Columns with a foreign key to core.people; that of a partitioned table is its partitions' too. */
export async function readPersonKeys(client: pg.ClientBase | pg.Pool): Promise<{ relation: string; column: string }[]> {
  const { rows } = await client.query<{ relation: string; column: string }>(
    `select n.nspname || '.' || c.relname as relation, a.attname as column
     from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum = f.conkey[1]
     where f.contype = 'f' and f.confrelid = to_regclass('core.people') and f.conparentid = 0 and n.nspname !~ '^build_'
     order by 1, 2`,
  );
  return rows;
}

async function isErasable(client: pg.ClientBase, relation: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    `select has_table_privilege($1::regclass, 'select') and has_table_privilege($1::regclass, 'delete')
       and has_table_privilege($1::regclass, 'maintain')
       and not exists (select from pg_partition_tree($1::regclass) where not has_table_privilege(relid, 'maintain')) as may`,
    [quoteRelation(relation)],
  );
  return rows[0]?.may ?? false;
}
