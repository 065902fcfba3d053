import { randomUUID } from "node:crypto";
import type pg from "pg";
import { OPT_OUT_JURISDICTIONS } from "../../domain/consent.ts";
import { CodedError, UserError } from "../../domain/errors.ts";
import { recordAudit } from "../audit.ts";
import { standingQuery } from "../consent/state.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import type { Vault } from "../vault.ts";

/** Customers that are opened and looked at again together. */
const BATCH = 1000;

/** What shall leave, to whom, and what for. */
export interface AudienceOrder {
  /** A segment that has been published. */
  segment: string;
  /** The purpose that its customers must allow. */
  purpose: string;
  /** Names whoever gets it: its list can't be joined with another's by the pseudonyms. */
  recipient: string;
  /** Kinds of identifiers to open. */
  fields: string[];
  actor: string;
}

export interface AudienceMember {
  pseudonym: string;
  /** By kind: the values of the customer's identifiers. */
  identifiers: Record<string, string[]>;
}

export interface AudienceReport {
  batchId: string;
  members: number;
  /** Were in the segment, and do not allow the purpose. */
  excluded: number;
}

/**
 * Hands an audience over, a batch at a time. Whoever does not allow the purpose is left out by the statement that claims
 * the audience; each batch is looked at again just before it is handed over, and who has withdrawn since is withheld. A
 * look that fails ends it: nothing more leaves. Every customer is an intention in the list of recipients before anything
 * leaves, and done only once `handOver` has ended for all; an interrupted one stands there as unknown at the next.
 * @param pool connections of the activator
 * @throws UserError where the segment was never published; CodedError `epoch_conflict` where an erasure came between
 */
export async function handOverAudience(
  pool: pg.Pool,
  vault: Vault,
  order: AudienceOrder,
  handOver: (members: AsyncIterable<AudienceMember[]>) => Promise<void>,
): Promise<AudienceReport> {
  const batchId = randomUUID();
  const { size, epoch } = await claim(pool, order, batchId);
  let members = 0;
  async function* batches(): AsyncGenerator<AudienceMember[]> {
    for (let after = ""; ;) {
      const batch = await openBatch(pool, vault, order, { batchId, epoch, after });
      if (batch === null) return;
      after = batch.last;
      members += batch.members.length;
      if (batch.members.length > 0) yield batch.members;
    }
  }
  await handOver(batches());
  await inTransaction(pool, (client) =>
    client.query(
      "update privacy.recipients set state = 'done', settled_at = now() where batch_id = $1 and state = 'intended'",
      [batchId],
    ),
  );
  return { batchId, members, excluded: size - members };
}

/** @returns how many are in the segment, and the epoch under which they were claimed */
async function claim(
  pool: pg.Pool,
  { segment, purpose, recipient, fields, actor }: AudienceOrder,
  batchId: string,
): Promise<{ size: number; epoch: string }> {
  return await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    const { rows } = await client.query<{ size: string | null }>(
      `select case when to_regclass('mart.fct_segment_memberships') is not null
           then (select customers from mart.dim_segments where segment = $1) end as size`,
      [segment],
    );
    const size = rows[0]?.size ?? null;
    if (size === null) {
      throw new UserError("was not published yet; miette build publishes it", { key: segment });
    }
    await client.query(
      `update privacy.recipients set state = 'unknown', settled_at = now()
         where recipient = $1 and audience = $2 and state = 'intended'`,
      [recipient, segment],
    );
    const { rowCount } = await client.query(
      `insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, fields)
         select $1, state.customer_id, $2, $3, $4, $5
         from (${standingQuery(
           "(select customer_id from mart.fct_segment_memberships where segment = $3 and upper_inf(valid) and customer_id <> ops.nobody())",
           "array[$4]::text[]",
           "$6::text[]",
         )}) as state
         where state.is_allowed`,
      [batchId, recipient, segment, purpose, fields, OPT_OUT_JURISDICTIONS],
    );
    await recordAudit(client, {
      actor,
      action: "audience.claim",
      purpose,
      detail: { batch: batchId, recipient, segment, customers: rowCount ?? 0, fields: fields.join(" ") },
    });
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    return { size: Number(size), epoch };
  });
}

/** The next customers by id, without those who allow it no longer; null at the end. */
async function openBatch(
  pool: pg.Pool,
  vault: Vault,
  { purpose, recipient, fields }: AudienceOrder,
  { batchId, epoch, after }: { batchId: string; epoch: string; after: string },
): Promise<{ members: AudienceMember[]; last: string } | null> {
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ customer_id: string; is_allowed: boolean }>(
      `select customer_id, is_allowed
         from (${standingQuery(
           `(select customer_id from privacy.recipients
             where batch_id = $1 and ($2 = '' or customer_id > nullif($2, '')::uuid) order by customer_id limit ${BATCH})`,
           "array[$3]::text[]",
           "$4::text[]",
         )}) as state order by customer_id`,
      [batchId, after, purpose, OPT_OUT_JURISDICTIONS],
    );
    const last = rows.at(-1)?.customer_id;
    if (last === undefined) return null;
    const allowed = rows.filter((row) => row.is_allowed).map((row) => row.customer_id);
    if (allowed.length < rows.length) {
      await client.query(
        `update privacy.recipients set state = 'withheld', settled_at = now()
           where batch_id = $1 and customer_id = any($2) and customer_id <> all($3)`,
        [batchId, rows.map((row) => row.customer_id), allowed],
      );
    }
    const opened = await openFields(client, vault, allowed, fields);
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    const members = allowed.map((customerId) => ({
      pseudonym: vault.naming.pseudonym(recipient, customerId),
      identifiers: opened.get(customerId) ?? {},
    }));
    return { members, last };
  });
}

async function openFields(
  client: pg.ClientBase,
  vault: Vault,
  customerIds: string[],
  fields: string[],
): Promise<Map<string, Record<string, string[]>>> {
  const found = new Map<string, Record<string, string[]>>();
  if (fields.length === 0) return found;
  const { rows } = await client.query<{ customer_id: string; kind: string; token: string }>(
    "select customer_id, kind, token from core.identifiers where customer_id = any($1) and kind = any($2) order by token",
    [customerIds, fields],
  );
  const opened = await vault.openIdentifiers(
    client,
    rows.map(({ token }) => token),
  );
  for (const { customer_id: customerId, kind, token } of rows) {
    const value = opened.get(token)?.canonical;
    if (value === undefined) continue;
    const own = found.get(customerId) ?? {};
    (own[kind] ??= []).push(value);
    found.set(customerId, own);
  }
  return found;
}

function erasureBetween(): CodedError {
  const message = "somebody was erased while the audience was being handed over; start again";
  return new CodedError("epoch_conflict", message, { retryable: true });
}
