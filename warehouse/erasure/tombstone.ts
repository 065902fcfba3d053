import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import { inTransaction } from "../database.ts";
import { sealErasures } from "../activation/erasures.ts";
import { readEpoch } from "../epoch.ts";
import { suppressionsOf } from "../landing/suppressions.ts";
import { noteEvent, openIdentifiers, openSealed, sealForRequest } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { resolveScope, type Scope } from "./scope.ts";

/** A person that was found to be larger after the lock was taken is resolved anew, at the most this often. */
const ATTEMPTS = 5;

/**
 * Says of a batch's people that they are to be let in no more, and moves the epoch: whoever decided under the one before
 * decides anew. Waits for the transactions that are landing or publishing, keeps new ones from ending, and touches no
 * rows of theirs. Done again, it adds what has been found since, and moves the epoch only then.
 * @returns how many identifiers are new
 */
export async function tombstone(pool: pg.Pool, vault: Vault, batchId: string): Promise<number> {
  const { rows } = await pool.query<{ id: string }>(
    "select request_id as id from privacy.requests where batch_id = $1 order by request_id",
    [batchId],
  );
  const requests = rows.map(({ id }) => id);
  for (let attempt = 1; ; attempt += 1) {
    const scopes = new Map<string, Scope>();
    const sealed = new Map<string, Buffer>();
    for (const id of requests) {
      const earlier = await openSealed<Scope>(pool, vault, id, "scope");
      const scope = await resolveScope(pool, vault, [
        ...(await openIdentifiers(pool, vault, id)),
        ...(earlier?.identifiers ?? []),
      ]);
      const joined = earlier ? join(earlier, scope) : scope;
      scopes.set(id, joined);
      sealed.set(id, await sealForRequest(pool, vault, id, "scope", joined));
    }
    const added = await inTransaction(pool, async (client) => {
      await client.query("lock table privacy.epoch in exclusive mode");
      await readEpoch(client);
      // Under the lock nobody publishes: a merge that came between is seen now, or never.
      const all = [...scopes.values()].flatMap(({ identifiers }) => identifiers);
      const whole = await resolveScope(client, vault, all);
      const found = new Set([...scopes.values()].flatMap(({ tokens }) => tokens));
      if (whole.tokens.some((token) => !found.has(token))) return null;
      return await suppress(client, pool, vault, batchId, scopes, sealed);
    });
    if (added !== null) return added;
    if (attempt === ATTEMPTS) {
      throw new CodedError("epoch_conflict", "people were merged while their erasure began", { retryable: true });
    }
  }
}

async function suppress(
  client: pg.ClientBase,
  pool: pg.Pool,
  vault: Vault,
  batchId: string,
  scopes: ReadonlyMap<string, Scope>,
  sealed: ReadonlyMap<string, Buffer>,
): Promise<number> {
  let added = 0;
  for (const [id, { identifiers, customers }] of scopes) {
    await noteRecipients(client, id, customers);
    await sealErasures(client, pool, vault, id, customers);
    const hashes = identifiers.flatMap(({ kind, canonical }) =>
      suppressionsOf(vault.naming, kind, canonical, canonical.includes("@")),
    );
    const { rowCount } = await client.query(
      "insert into privacy.suppressions (hash, request_id) select distinct unnest($1::bytea[]), $2::uuid on conflict do nothing",
      [hashes, id],
    );
    added += rowCount ?? 0;
    const { rowCount: moved } = await client.query(
      `update privacy.requests set scope = $2, state = 'running' where request_id = $1 and state <> 'running'`,
      [id, sealed.get(id)],
    );
    if (moved === 0)
      await client.query("update privacy.requests set scope = $2 where request_id = $1", [id, sealed.get(id)]);
    if (moved === 1 || (rowCount ?? 0) > 0) {
      await noteEvent(client, id, "worker", "tombstone", {
        identifiers: identifiers.length,
        people: customers.length,
        added: rowCount ?? 0,
      });
    }
  }
  const { rows } = await client.query<{ tombstoned: boolean }>(
    "select tombstoned_at is not null as tombstoned from privacy.erasure_batches where batch_id = $1 for update",
    [batchId],
  );
  if (added === 0 && rows[0]?.tombstoned) return 0;
  await client.query(
    "update privacy.epoch set epoch = epoch + 1, suppressions = (select count(*) from privacy.suppressions)",
  );
  await client.query(
    "update privacy.erasure_batches set tombstone_xid = pg_current_xact_id(), tombstoned_at = clock_timestamp() where batch_id = $1",
    [batchId],
  );
  return added;
}

/** Whoever was handed a file with something of the person stands in the request from now on: the list of recipients goes with the person. */
async function noteRecipients(client: pg.ClientBase, requestId: string, customers: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ recipient: string }>(
    `select distinct recipient from privacy.recipients as r
     where customer_id = any($2::uuid[]) and state <> 'withheld'
       and not exists (select from privacy.deliveries as d where d.delivery_id = r.batch_id)
       and not exists (select from privacy.request_events as e
         where e.request_id = $1 and e.event = 'handed_over' and e.detail ->> 'recipient' = r.recipient)
     order by recipient`,
    [requestId, customers],
  );
  for (const { recipient } of rows) await noteEvent(client, requestId, "worker", "handed_over", { recipient });
}

function join(one: Scope, other: Scope): Scope {
  const identifiers = new Map(
    [...one.identifiers, ...other.identifiers].map((each) => [`${each.kind}\0${each.canonical}`, each]),
  );
  return {
    identifiers: [...identifiers.values()],
    tokens: [...new Set([...one.tokens, ...other.tokens])],
    customers: [...new Set([...one.customers, ...other.customers])],
    shared: other.shared,
  };
}
