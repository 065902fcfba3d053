import type pg from "pg";
import { inTransaction } from "../database.ts";
import { setHeldAside } from "../holds/set-aside.ts";
import { openSealed } from "../requests/store.ts";
import type { Sought } from "../requests/subject.ts";
import type { Retention } from "../retention/rules.ts";
import type { Vault } from "../vault.ts";
import { keepErasedCredit } from "./kept-credit.ts";
import { deleteOwn, readPersonKeys } from "./plan.ts";
import { readRawTables, type RawTable } from "./raw-tables.ts";
import type { Scope } from "./scope.ts";
import { readStateColumns, sweepCursors, sweepFieldNames, sweepState } from "./sweep-state.ts";
import { holdErased } from "./sweep-raw.ts";
import { sweepTables, type Within } from "./sweep-tables.ts";

/** What the requests of a batch found to be their people's. */
async function openScopes(pool: pg.Pool, vault: Vault, batchId: string): Promise<Map<string, Scope>> {
  const { rows } = await pool.query<{ id: string }>(
    "select request_id as id from privacy.requests where batch_id = $1 order by request_id",
    [batchId],
  );
  const scopes = new Map<string, Scope>();
  for (const { id } of rows) {
    const scope = await openSealed<Scope>(pool, vault, id, "scope");
    if (scope) scopes.set(id, scope);
  }
  return scopes;
}

function joined(scopes: ReadonlyMap<string, Scope>): Scope {
  const whole: Scope = { identifiers: [], tokens: [], customers: [], shared: 0 };
  for (const scope of scopes.values()) {
    whole.identifiers.push(...scope.identifiers);
    whole.tokens.push(...scope.tokens);
    whole.customers.push(...scope.customers);
  }
  return { ...whole, tokens: [...new Set(whole.tokens)], customers: [...new Set(whole.customers)] };
}

/**
 * Takes a batch's people out of everything that is not derived, each table once for all of them, in transactions of their
 * own: cut off at any instant and done again, it ends the same. What is derived follows by the next build.
 * @param retention which records stay without their person, and what is held of them
 * @param isModel whether a relation is derived, and so follows by itself
 */
export async function sweep(
  pool: pg.Pool,
  vault: Vault,
  batchId: string,
  retention: Retention,
  isModel: (relation: string) => boolean,
): Promise<void> {
  const scopes = await openScopes(pool, vault, batchId);
  const requestIds = [...scopes.keys()];
  const erased = joined(scopes);
  const within: Within = (work) =>
    inTransaction(pool, async (client) => {
      await holdErased(client, [...scopes.values()]);
      return await work(client);
    });
  await within(keepErasedCredit);
  const tables = await readRawTables(pool);
  const tokens = new Set(erased.tokens);
  const { facts } = retention;
  const beforeTaking = (client: pg.ClientBase, table: RawTable): Promise<void> =>
    setHeldAside(pool, client, vault, table, retention, requestIds);
  await sweepTables({ tables, facts, tokens, isAnothers: "false", beforeTaking }, within, (client, counts) =>
    addSwept(client, batchId, counts),
  );
  await sweepOwn(pool, batchId, within, isModel);
  await sweepRest(pool, vault, batchId, erased.identifiers, within);
  vault.forgetIdentifiers();
}

/** Tables of the project's own that point at people: their rows would also keep the build from taking the people out. */
async function sweepOwn(
  pool: pg.Pool,
  batchId: string,
  within: Within,
  isModel: (relation: string) => boolean,
): Promise<void> {
  for (const { relation, column } of await readPersonKeys(pool)) {
    if (isModel(relation)) continue;
    await within(async (client) => {
      await addSwept(client, batchId, { [`${relation} delete`]: await deleteOwn(client, relation, column) });
    });
  }
}

/** Quarantine, decisions, references of the audit and, at the very end, the identifiers' values and keys. */
async function sweepRest(
  pool: pg.Pool,
  vault: Vault,
  batchId: string,
  identifiers: readonly Sought[],
  within: Within,
): Promise<void> {
  const values = new Set(identifiers.map(({ canonical }) => canonical));
  const reset = await sweepCursors(pool, vault, (canonical) => values.has(canonical));
  await within(async (client) => {
    await addSwept(client, batchId, {
      "ops.cursors cut": reset,
      "ops.undeclared_fields delete": await sweepFieldNames(client),
    });
  });
  for (const state of await readStateColumns(pool)) {
    await within(async (client) => {
      await addSwept(client, batchId, { [`${state.relation} delete`]: await sweepState(client, state) });
    });
  }
}

/** Adds to the batch's counts, in the transaction that changed the rows: a repeated sweep does not count twice. */
async function addSwept(client: pg.ClientBase, batchId: string, counts: Record<string, number>): Promise<void> {
  const some = Object.fromEntries(Object.entries(counts).filter(([, rows]) => rows > 0));
  if (Object.keys(some).length === 0) return;
  await client.query(
    `update privacy.erasure_batches as b set swept = b.swept || (
       select jsonb_object_agg(key, coalesce((b.swept ->> key)::bigint, 0) + value::bigint) from jsonb_each_text($2::jsonb))
     where batch_id = $1`,
    [batchId, JSON.stringify(some)],
  );
}
