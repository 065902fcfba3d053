import { randomUUID } from "node:crypto";
import type pg from "pg";
import { OPT_OUT_JURISDICTIONS } from "../../domain/consent.ts";
import type { DeliveryOperation, DeliveryState } from "../../domain/destinations.ts";
import { CodedError, UserError } from "../../domain/errors.ts";
import type { DestinationDeclaration } from "../../domain/project.ts";
import { open, seal } from "../../privacy/sealing.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import type { Vault } from "../vault.ts";
import { allowedQuery } from "./allowed.ts";
import { erasureBetween, kindsOf } from "./claim.ts";

/** One person as a batch names them: a pseudonym of the destination's own, and values by the destination's names. */
export interface Handed {
  id: string;
  fields: Record<string, string[]>;
}

export interface Batch {
  deliveryId: string;
  destination: string;
  operation: DeliveryOperation;
  audience: string;
  purpose: string;
  madeAt: string;
  state: DeliveryState;
  /** How many it names. */
  members: number;
}

/** What a call to the destination is to hold; or another batch that takes this one's place; or nothing, where it is settled. */
export type Prepared = { batch: Batch; people: Handed[] } | { next: string } | { settled: Batch };

interface Row {
  customer_id: string;
  tokens: string[];
  envelope: Buffer | null;
}

const COLUMNS = `delivery_id as "deliveryId", destination, operation, audience, purpose, state, members,
  to_char(made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "madeAt"`;

/** @throws UserError where there is no such delivery */
export async function readBatch(client: pg.ClientBase | pg.Pool, deliveryId: string, lock = ""): Promise<Batch> {
  const { rows } = await client.query<Batch>(
    `select ${COLUMNS} from privacy.deliveries where delivery_id = $1 ${lock}`,
    [deliveryId],
  );
  if (!rows[0]) throw new UserError("there is no delivery of this id", { key: "delivery" });
  return rows[0];
}

/**
 * Looks at a batch for the last time before its call, and notes that it may have left from now on. Who allows it no longer
 * is withheld. A batch whose call may have been made already goes out again as it was, under the same key and with the
 * same bytes; where one of its people may not be named again, the others go into another batch.
 * @param pool connections of the activator
 * @throws CodedError `epoch_conflict` where an erasure began meanwhile; `delivery_in_flight` where a removal has to wait
 */
export async function prepareSend(
  pool: pg.Pool,
  vault: Vault,
  destination: DestinationDeclaration,
  deliveryId: string,
): Promise<Prepared> {
  return await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    const batch = await readBatch(client, deliveryId, "for update");
    if (batch.state !== "queued" && batch.state !== "sent") return { settled: batch };
    if (batch.operation === "remove") await awaitCalls(client, batch.destination);
    const { rows } = await client.query<Row>(
      "select customer_id, tokens, envelope from privacy.recipients where batch_id = $1 and state = 'intended' order by customer_id",
      [deliveryId],
    );
    const allowed = batch.operation === "deliver" ? await readAllowed(client, destination, batch, rows) : rows;
    const people =
      batch.state === "sent"
        ? await openEnvelopes(client, vault, destination, batch, allowed)
        : await sealEnvelopes(client, vault, destination, batch, allowed);
    const sent = rows.filter(({ customer_id: id }) => people.has(id));
    const isSplit = batch.state === "sent" && sent.length < batch.members;
    const next = isSplit ? await split(client, batch, sent) : null;
    if (!isSplit) await beginCall(client, batch, sent);
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    if (next !== null) return { next };
    batch.members = sent.length;
    if (isSplit || sent.length === 0) return { settled: { ...batch, state: "confirmed" } };
    return { batch, people: sent.map(({ customer_id: id }) => people.get(id) as Handed) };
  });
}

/** What has just been sent may arrive after what is sent now: no call to take back is made while one to hand over is under way. */
export async function awaitCalls(client: pg.ClientBase, destination: string): Promise<void> {
  // A call has 30 s, so one that began a minute ago has ended, one way or another.
  const { rowCount } = await client.query(
    `select from privacy.deliveries where destination = $1 and operation = 'deliver' and state = 'sent'
       and sent_at > now() - interval '60 seconds' limit 1`,
    [destination],
  );
  if (rowCount) {
    const message = `a delivery to ${destination} is under way, and what takes it back has to come after it`;
    throw new CodedError("delivery_in_flight", message, { retryable: true });
  }
}

async function readAllowed(
  client: pg.ClientBase,
  { countsAs }: DestinationDeclaration,
  { purpose }: Batch,
  rows: Row[],
): Promise<Row[]> {
  const { rows: found } = await client.query<{ customer_id: string }>(
    allowedQuery("(select unnest($1::uuid[]) as customer_id)", "$2::text", "$3::text[]", "$4::text[]"),
    [rows.map(({ customer_id: id }) => id), purpose, countsAs, OPT_OUT_JURISDICTIONS],
  );
  const allowed = new Set(found.map(({ customer_id: id }) => id));
  return rows.filter(({ customer_id: id }) => allowed.has(id));
}

/** What leaves, opened from the vault; it is kept sealed under the person's own key, so that it goes where the person goes. */
async function sealEnvelopes(
  client: pg.ClientBase,
  vault: Vault,
  destination: DestinationDeclaration,
  { deliveryId, operation }: Batch,
  rows: Row[],
): Promise<Map<string, Handed>> {
  const people = new Map(rows.map(({ customer_id: id }) => [id, handed(vault, destination, id)]));
  const kinds = kindsOf(destination);
  if (operation === "remove" || kinds.length === 0) return people;
  const { rows: held } = await client.query<{ customer_id: string; kind: string; token: string }>(
    "select customer_id, kind, token from core.identifiers where customer_id = any($1) and kind = any($2) order by token",
    [[...people.keys()], kinds],
  );
  const opened = await vault.openIdentifiers(
    client,
    held.map(({ token }) => token),
  );
  const tokens = new Map<string, string[]>();
  for (const { customer_id: id, kind, token } of held) {
    const value = opened.get(token)?.canonical;
    if (value === undefined) continue;
    tokens.set(id, [...(tokens.get(id) ?? []), token]);
    const { fields } = people.get(id) as Handed;
    for (const [name, of] of Object.entries(destination.fields)) if (of === kind) (fields[name] ??= []).push(value);
  }
  const sealed = [...tokens].map(([id, own]) => {
    const { key } = opened.get(own[0] as string) as { key: Buffer };
    return { id, own, envelope: seal(key, envelopeIdentity(deliveryId, id), JSON.stringify(people.get(id)?.fields)) };
  });
  await client.query(
    `update privacy.recipients as r set envelope = new.envelope, tokens = string_to_array(new.tokens, ' ')
     from unnest($2::uuid[], $3::bytea[], $4::text[]) as new (customer_id, envelope, tokens)
     where r.batch_id = $1 and r.customer_id = new.customer_id`,
    [
      deliveryId,
      sealed.map(({ id }) => id),
      sealed.map(({ envelope }) => envelope),
      sealed.map(({ own }) => own.join(" ")),
    ],
  );
  return people;
}

/** What left at the first attempt; without those whose key is gone since. */
async function openEnvelopes(
  client: pg.ClientBase,
  vault: Vault,
  destination: DestinationDeclaration,
  { deliveryId }: Batch,
  rows: Row[],
): Promise<Map<string, Handed>> {
  const opened = await vault.openIdentifiers(
    client,
    rows.flatMap(({ tokens }) => tokens[0] ?? []),
  );
  const people = new Map<string, Handed>();
  for (const { customer_id: id, tokens, envelope } of rows) {
    const person = handed(vault, destination, id);
    if (envelope !== null) {
      const key = opened.get(tokens[0] as string)?.key;
      if (!key) continue;
      person.fields = openEnvelope(key, deliveryId, id, envelope);
    }
    people.set(id, person);
  }
  return people;
}

export function openEnvelope(key: Buffer, deliveryId: string, customerId: string, envelope: Buffer): Handed["fields"] {
  return JSON.parse(open(key, envelopeIdentity(deliveryId, customerId), envelope).toString("utf8")) as Handed["fields"];
}

function envelopeIdentity(deliveryId: string, customerId: string): string {
  return `delivery:${deliveryId}:${customerId}`;
}

function handed(vault: Vault, { name }: DestinationDeclaration, customerId: string): Handed {
  return { id: vault.naming.pseudonym(name, customerId), fields: {} };
}

async function beginCall(client: pg.ClientBase, { deliveryId }: Batch, sent: Row[]): Promise<void> {
  await client.query(
    `update privacy.recipients set state = 'withheld', settled_at = now()
     where batch_id = $1 and state = 'intended' and customer_id <> all($2::uuid[])`,
    [deliveryId, sent.map(({ customer_id: id }) => id)],
  );
  await client.query(
    `update privacy.deliveries set members = $2, state = case when $2 = 0 then 'confirmed' else 'sent' end,
       sent_at = case when $2 > 0 then clock_timestamp() end, settled_at = case when $2 = 0 then now() end
     where delivery_id = $1`,
    [deliveryId, sent.length],
  );
}

/** @returns the batch that the others go into; null where nobody is left */
async function split(client: pg.ClientBase, batch: Batch, sent: Row[]): Promise<string | null> {
  const next = randomUUID();
  if (sent.length > 0) {
    await client.query(
      `insert into privacy.deliveries (delivery_id, destination, operation, audience, purpose, members)
       values ($1, $2, $3, $4, $5, $6)`,
      [next, batch.destination, batch.operation, batch.audience, batch.purpose, sent.length],
    );
    // Its first call seals it anew: an envelope is bound to its batch.
    await client.query(
      `update privacy.recipients set batch_id = $2, envelope = null, tokens = '{}'
       where batch_id = $1 and state = 'intended' and customer_id = any($3::uuid[])`,
      [batch.deliveryId, next, sent.map(({ customer_id: id }) => id)],
    );
  }
  await settle(client, batch.deliveryId, "failed");
  return sent.length > 0 ? next : null;
}

/** Notes what a call has come to. What failed may have arrived all the same, so its people count as handed over until they are removed. */
export async function settle(client: pg.ClientBase, deliveryId: string, state: DeliveryState): Promise<void> {
  const { rows } = await client.query<{ was: string }>(
    `with before as (select delivery_id, state as was from privacy.deliveries where delivery_id = $1 for update)
     -- What a person may have to do by hand stays readable until the request has ended.
     update privacy.deliveries as d
     set state = $2, settled_at = now(), envelope = case when $2 in ('manual', 'failed') then envelope end
     from before where d.delivery_id = before.delivery_id and was in ('queued', 'sent') returning was`,
    [deliveryId, state],
  );
  if (!rows[0]) return;
  const isDone = state === "accepted" || state === "confirmed";
  await client.query(
    "update privacy.recipients set state = $2, settled_at = now() where batch_id = $1 and state = 'intended'",
    [deliveryId, isDone ? "done" : rows[0].was === "queued" ? "withheld" : "unknown"],
  );
}
