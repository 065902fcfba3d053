import type pg from "pg";
import type { DeliveryState, PendingErasure } from "../../domain/destinations.ts";
import { open, seal } from "../../privacy/sealing.ts";
import { inTransaction } from "../database.ts";
import { noteEvent, requestKey } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { awaitCalls, openEnvelope, readBatch, settle, type Handed } from "./send.ts";

/** Days before the request is due at which a destination that still does not answer is left to a person. */
const RESERVE_DAYS = 3;
/** Where no law's clock runs. */
const PATIENCE_DAYS = 28;

/**
 * Cancels what is on its way to destinations and has not left, and seals for the request what each destination has of the
 * person, in the tombstone's transaction: the person's own keys go with the sweep. Done again, it adds what has been found since.
 */
export async function sealErasures(
  client: pg.ClientBase,
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  customers: readonly string[],
): Promise<void> {
  await client.query(
    "insert into privacy.leaving_people (customer_id) select unnest($1::uuid[]) on conflict do nothing",
    [customers],
  );
  await client.query(
    `update privacy.recipients as r set state = 'withheld', settled_at = now() from privacy.deliveries as d
     where d.delivery_id = r.batch_id and d.state = 'queued' and r.state = 'intended' and r.customer_id = any($1::uuid[])`,
    [customers],
  );
  const byDestination = await readHanded(client, vault, customers);
  const key = await requestKey(pool, vault, requestId);
  for (const [destination, people] of byDestination) await keepSealed(client, key, requestId, destination, people);
}

/** Under which handles, and with which values, destinations have or may have these people. */
export async function readHanded(
  client: pg.ClientBase,
  vault: Vault,
  customers: readonly string[],
): Promise<Map<string, Map<string, Handed>>> {
  const { rows } = await client.query<{
    batch_id: string;
    customer_id: string;
    recipient: string;
    tokens: string[];
    envelope: Buffer | null;
  }>(
    `select r.batch_id, r.customer_id, r.recipient, r.tokens, r.envelope
     from privacy.recipients as r join privacy.deliveries as d on d.delivery_id = r.batch_id
     where r.customer_id = any($1::uuid[]) and r.state <> 'withheld' order by r.claimed_at`,
    [customers],
  );
  const opened = await vault.openIdentifiers(
    client,
    rows.flatMap(({ tokens }) => tokens[0] ?? []),
  );
  const byDestination = new Map<string, Map<string, Handed>>();
  for (const { batch_id: batch, customer_id: customer, recipient, tokens, envelope } of rows) {
    const people = byDestination.get(recipient) ?? new Map<string, Handed>();
    byDestination.set(recipient, people);
    const own = opened.get(tokens[0] ?? "")?.key;
    const fields = envelope && own ? openEnvelope(own, batch, customer, envelope) : {};
    join(people, { id: vault.naming.pseudonym(recipient, customer), fields });
  }
  return byDestination;
}

/** Destinations that have, or may have, something of these people. */
export async function destinationsOf(pool: pg.Pool, customers: readonly string[]): Promise<string[]> {
  const { rows } = await pool.query<{ recipient: string }>(
    `select distinct recipient from privacy.recipients as r join privacy.deliveries as d on d.delivery_id = r.batch_id
     where r.customer_id = any($1::uuid[]) and r.state <> 'withheld' order by recipient`,
    [customers],
  );
  return rows.map(({ recipient }) => recipient);
}

/** @returns the erasures of a request at destinations that have not ended */
export async function listErasures(pool: pg.Pool, requestId: string): Promise<PendingErasure[]> {
  const { rows } = await pool.query<PendingErasure>(
    `select d.delivery_id as "deliveryId", d.destination,
       to_char(due.at - make_interval(days => $2), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as until,
       to_char(due.at - interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as due
     from privacy.deliveries as d join privacy.requests as r using (request_id)
     cross join lateral (
       select coalesce(r.due_at, r.received_at + make_interval(days => $3)) at time zone 'UTC' as at
     ) as due
     where d.request_id = $1 and d.state in ('queued', 'sent') order by d.destination, d.made_at`,
    [requestId, RESERVE_DAYS, PATIENCE_DAYS],
  );
  return rows;
}

/**
 * What an erasure's call has to name; null where it has ended. One that was left to a person who has not done it yet is
 * taken up again. Waits for deliveries to that destination that are under way.
 */
export async function prepareErasure(pool: pg.Pool, vault: Vault, deliveryId: string): Promise<Handed[] | null> {
  const sealed = await inTransaction(pool, async (client) => {
    const { rows } = await client.query<Waiting>(
      "select request_id, destination, state, envelope from privacy.deliveries where delivery_id = $1 for update",
      [deliveryId],
    );
    const row = rows[0];
    if (!row || !(row.state === "queued" || row.state === "sent" || (row.state === "manual" && row.envelope)))
      return null;
    await awaitCalls(client, row.destination);
    await client.query(
      "update privacy.deliveries set state = 'sent', sent_at = clock_timestamp(), settled_at = null where delivery_id = $1",
      [deliveryId],
    );
    return { request_id: row.request_id, envelope: row.envelope as Buffer };
  });
  if (sealed === null) return null;
  return openHandles(await requestKey(pool, vault, sealed.request_id), deliveryId, sealed.envelope);
}

interface Waiting {
  request_id: string;
  destination: string;
  state: DeliveryState;
  envelope: Buffer | null;
}

/**
 * Leaves an erasure at a destination that stands no longer in the project to a person, and notes why.
 * @returns what it has come to: what a person has noted meanwhile stays
 */
export async function leaveToPerson(pool: pg.Pool, deliveryId: string): Promise<DeliveryState> {
  return await inTransaction(pool, async (client) => {
    const { state, destination } = await readBatch(client, deliveryId, "for update");
    if (state !== "queued" && state !== "sent") return state;
    await settle(client, deliveryId, "manual");
    const { rows } = await client.query<{ id: string }>(
      "select request_id as id from privacy.deliveries where delivery_id = $1",
      [deliveryId],
    );
    await noteEvent(client, rows[0]?.id as string, "worker", "destination_undeclared", { destination });
    return "manual";
  });
}

interface ElsewhereErased {
  recipient: string;
  status: DeliveryState;
  settled_at: string | null;
  /** Whether a person has seen to it. */
  by_hand: boolean;
  /** Whether a person has to, since it stood no longer in the project when it was to be told. */
  undeclared: boolean;
}

/** What each destination has come to, for the receipt. */
export async function readErasures(pool: pg.Pool, requestId: string): Promise<ElsewhereErased[]> {
  const { rows } = await pool.query<ElsewhereErased>(
    `select destination as recipient, state as status, settled_at::text,
       exists (select from privacy.request_events as e where e.request_id = d.request_id and e.event = 'done_by_hand'
         and e.detail ->> 'destination' = d.destination) as by_hand,
       state = 'manual' and exists (select from privacy.request_events as e where e.request_id = d.request_id
         and e.event = 'destination_undeclared' and e.detail ->> 'destination' = d.destination) as undeclared
     from privacy.deliveries as d where request_id = $1 order by destination, made_at`,
    [requestId],
  );
  return rows;
}

async function keepSealed(
  client: pg.ClientBase,
  key: Buffer,
  requestId: string,
  destination: string,
  people: Map<string, Handed>,
): Promise<void> {
  const { rows } = await client.query<{ id: string; envelope: Buffer; state: DeliveryState }>(
    "select delivery_id as id, envelope, state from privacy.deliveries where request_id = $1 and destination = $2 for update",
    [requestId, destination],
  );
  // One that has left is never altered: whoever is found later goes into another.
  const waiting = rows.find(({ state }) => state === "queued");
  for (const person of waiting ? openHandles(key, waiting.id, waiting.envelope) : []) join(people, person);
  const deliveryId = waiting?.id ?? crypto.randomUUID();
  const envelope = seal(key, identity(deliveryId), JSON.stringify([...people.values()]));
  await client.query(
    `insert into privacy.deliveries (delivery_id, destination, operation, members, request_id, envelope)
     values ($1, $2, 'erase', $3, $4, $5)
     on conflict (delivery_id) do update set members = excluded.members, envelope = excluded.envelope`,
    [deliveryId, destination, people.size, requestId, envelope],
  );
  if (!waiting) await noteEvent(client, requestId, "worker", "destination", { destination, handles: people.size });
}

export function openHandles(key: Buffer, deliveryId: string, envelope: Buffer): Handed[] {
  return JSON.parse(open(key, identity(deliveryId), envelope).toString("utf8")) as Handed[];
}

function identity(deliveryId: string): string {
  return `erasure:${deliveryId}`;
}

/** Every value that ever left under a handle. */
function join(people: Map<string, Handed>, { id, fields }: Handed): void {
  const known = people.get(id) ?? { id, fields: {} };
  people.set(id, known);
  for (const [name, values] of Object.entries(fields)) {
    known.fields[name] = [...new Set([...(known.fields[name] ?? []), ...values])];
  }
}
