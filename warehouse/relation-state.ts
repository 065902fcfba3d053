import type pg from "pg";

/**
 * Says that rows of a relation have changed, in the transaction that changed them: what reads it has work at the next build.
 * @param relation schema and name, `raw.shop__orders`
 */
export async function recordChange(client: pg.ClientBase, relation: string): Promise<void> {
  await client.query(
    `insert into ops.relation_state (relation, version) values ($1, 1)
     on conflict (relation) do update set version = ops.relation_state.version + 1`,
    [relation],
  );
}
