import type pg from "pg";
import type { Json } from "../../domain/streams.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { inTransaction, quoteName } from "../database.ts";
import { openCursor } from "../landing/cursor.ts";
import { quoteRelation } from "../models/build.ts";
import type { Vault } from "../vault.ts";
import type { SweptRows } from "./sweep-raw.ts";

/** A column by which rows of a state table are a person's. */
export interface StateColumn {
  relation: string;
  column: string;
  holds: "token" | "tokens" | "customer";
}

/**
 * The columns of what landing, identity, requests and the vault keep by which rows are somebody's, read from the
 * catalogue: a column named `…token` or `…tokens` holds tokens, one named `…customer_id` a person. A table that is added
 * later is swept without being listed anywhere.
 */
export async function readStateColumns(client: pg.ClientBase | pg.Pool): Promise<StateColumn[]> {
  const { rows } = await client.query<StateColumn>(
    `select n.nspname || '.' || c.relname as relation, a.attname as column,
       case when a.atttypid = 'text[]'::regtype then 'tokens' when a.atttypid = 'uuid'::regtype then 'customer' else 'token' end as holds
     from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('ops', 'privacy', 'vault') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
       and ((a.attname ~ '(^|_)token$' and a.atttypid = 'text'::regtype and a.attname <> 'folded_token')
         or (a.attname ~ '(^|_)tokens$' and a.atttypid = 'text[]'::regtype)
         or (a.attname ~ '(^|_)customer_id$' and a.atttypid = 'uuid'::regtype))
     -- The vault last: who is not swept whole can still be found by it.
     order by n.nspname, c.relname, a.attname`,
  );
  return rows;
}

const MATCHES: Record<StateColumn["holds"], (column: string) => string> = {
  token: (column) => `${column} in (select token from erased_tokens)`,
  tokens: (column) => `${column} && (select array_agg(token) from erased_tokens)`,
  customer: (column) => `${column} in (select customer_id from erased_people)`,
};

/** Which rows of a state table are an erased person's, as SQL over `erased_tokens` and `erased_people`. */
export function stateCondition({ column, holds }: StateColumn): string {
  return MATCHES[holds](quoteName(column));
}

const JOINS: Record<StateColumn["holds"], (column: string) => string> = {
  token: (column) => `join erased_tokens as e on e.token = ${column}`,
  tokens: (column) =>
    `cross join lateral unnest(${column}) as own (token) join erased_tokens as e on e.token = own.token`,
  customer: (column) => `join erased_people as e on e.customer_id = ${column}`,
};

/** Counts the rows of a state table that are an erased person's, by request. */
export async function countState(
  client: pg.ClientBase,
  { relation, column, holds }: StateColumn,
): Promise<SweptRows[]> {
  const { rows } = await client.query<Pick<SweptRows, "request" | "rows">>(
    `select e.request, count(distinct (t.tableoid, t.ctid))::float8 as rows
     from ${quoteRelation(relation)} as t ${JOINS[holds](`t.${quoteName(column)}`)} group by e.request`,
  );
  return rows.map((row) => ({ relation, action: "delete", ...row }));
}

/** Deletes the rows of a state table, in the caller's transaction. */
export async function sweepState(client: pg.ClientBase, state: StateColumn): Promise<number> {
  const { rowCount } = await client.query(
    `delete from ${quoteRelation(state.relation)} where ${stateCondition(state)}`,
  );
  return rowCount ?? 0;
}

/** Names of undeclared fields in which a token stands. */
export async function sweepFieldNames(client: pg.ClientBase): Promise<number> {
  const { rowCount } = await client.query(
    `delete from ops.undeclared_fields as f using erased_tokens as e where strpos(f.field, e.token) > 0`,
  );
  return rowCount ?? 0;
}

/**
 * Resets cursors that hold a value of an erased person: what a keyset cursor stands at is the last key that was read. The
 * next sync of that stream reads from its start, and writes only what differs.
 * @param isErased asked of each text and number, as it stands and as an address or number is spelled in the vault
 */
export async function sweepCursors(
  pool: pg.Pool,
  vault: Vault,
  isErased: (canonical: string) => boolean,
): Promise<number> {
  const key = await vault.purposeKey(pool, "cursor");
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ source: string; stream: string; sealed: Buffer }>(
      "select source, stream, sealed from ops.cursors where sealed is not null for update",
    );
    let reset = 0;
    for (const { source, stream, sealed } of rows) {
      if (!holds(openCursor(key, source, stream, sealed), isErased)) continue;
      await client.query(
        "update ops.cursors set sealed = null, position = position + 1, updated_at = now() where source = $1 and stream = $2",
        [source, stream],
      );
      reset += 1;
    }
    return reset;
  });
}

function holds(value: Json, isErased: (canonical: string) => boolean): boolean {
  if (typeof value === "string") {
    const spellings = [value, normaliseIdentifier("email", value, null), normaliseIdentifier("phone", value, null)];
    return spellings.some((each) => each !== null && isErased(each));
  }
  if (typeof value === "number") return isErased(String(value));
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some((each) => holds(each, isErased));
}
