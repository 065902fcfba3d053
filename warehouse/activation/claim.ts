import type pg from "pg";
import { OPT_OUT_JURISDICTIONS } from "../../domain/consent.ts";
import type { ClaimedDeliveries } from "../../domain/destinations.ts";
import { CodedError, UserError } from "../../domain/errors.ts";
import type { DestinationDeclaration } from "../../domain/project.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { allowedQuery } from "./allowed.ts";

/** People that go out in one call. */
const BATCH = 1000;

const MEMBERS =
  "(select customer_id from mart.fct_segment_memberships where segment = $2 and upper_inf(valid) and customer_id <> ops.nobody())";

/**
 * Claims who is to enter an audience of a destination: those who are in the segment, allow its purpose, and whom the
 * destination does not have as they are now; and who is to leave it. What an earlier hand-over left unfinished comes first.
 * @param pool connections of the activator
 * @throws UserError where the segment was never published; CodedError `epoch_conflict` where an erasure came between
 */
export async function claimDeliveries(
  pool: pg.Pool,
  destination: DestinationDeclaration,
  { segment, purpose }: { segment: string; purpose: string },
  actor: string,
): Promise<ClaimedDeliveries> {
  return await claiming(pool, destination.name, async (client) => {
    const { rows: unfinished } = await client.query<{ id: string }>(
      `select delivery_id as id from privacy.deliveries where destination = $1 and audience = $2
         and operation <> 'erase' and state in ('queued', 'sent') order by made_at, operation, delivery_id`,
      [destination.name, segment],
    );
    const { rows } = await client.query<{ size: string | null }>(
      `select case when to_regclass('mart.fct_segment_memberships') is not null
         then (select customers from mart.dim_segments where segment = $1) end as size`,
      [segment],
    );
    const size = rows[0]?.size ?? null;
    if (size === null) throw new UserError("was not published yet; miette build publishes it", { key: segment });
    const { allowed, deliveries } = await insertBatches(client, destination, { audience: segment, purpose }, MEMBERS);
    await recordAudit(client, {
      actor,
      action: "audience.claim",
      purpose,
      detail: { recipient: destination.name, segment, customers: allowed, fields: kindsOf(destination).join(" ") },
    });
    return { deliveries: [...unfinished.map(({ id }) => id), ...deliveries], excluded: Number(size) - allowed };
  });
}

/**
 * Claims who is to leave a destination since they allow the purpose of an audience no longer, or what the law calls the
 * handing over: whoever has withdrawn, objected, opted out, is restricted, or whose consent has expired.
 * @param pool connections of the activator
 * @param isByHand whether a person has to take them out: who was left to a person already is not claimed again
 */
export async function claimRevocations(
  pool: pg.Pool,
  destination: DestinationDeclaration,
  isByHand: boolean,
): Promise<string[]> {
  return await claiming(pool, destination.name, async (client) => {
    const { rows: audiences } = await client.query<{ audience: string; purpose: string }>(
      `select distinct on (audience) audience, purpose from privacy.deliveries
       where destination = $1 and audience is not null order by audience, made_at desc`,
      [destination.name],
    );
    const claimed: string[] = [];
    for (const each of audiences) {
      claimed.push(
        ...(
          await insertBatches(client, destination, each, "(select customer_id from held)", { enters: false, isByHand })
        ).deliveries,
      );
    }
    return claimed;
  });
}

/**
 * Destinations that something was handed to and that stand no longer in the project: as ones that a person has to tell.
 * What the law calls the handing over is not known any more, so any refusal counts.
 */
export async function undeclaredDestinations(
  pool: pg.Pool,
  declared: readonly string[],
): Promise<DestinationDeclaration[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select distinct destination as name from privacy.deliveries
     where operation = 'deliver' and destination <> all($1::text[]) order by name`,
    [declared],
  );
  return rows.map(({ name }) => undeclared(name));
}

export function undeclared(name: string): DestinationDeclaration {
  return { name, connector: "manual", config: { instructions: "" }, fields: {}, countsAs: ["sale", "sharing"] };
}

/** Whether anything was ever handed over to a destination. */
export async function hasDeliveries(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ any: boolean }>("select exists (select from privacy.deliveries) as any");
  return rows[0]?.any ?? false;
}

/** One claim at a time for a destination, under one epoch. */
async function claiming<T>(
  pool: pg.Pool,
  destination: string,
  work: (client: pg.ClientBase) => Promise<T>,
): Promise<T> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('miette.deliveries ' || $1, 0))", [destination]);
    const epoch = await readEpoch(client);
    const result = await work(client);
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    return result;
  });
}

/**
 * Batches of those who are to enter, and of those whom the destination has and who are not among the allowed.
 * @param people a relation of `customer_id`: who may be in the audience, if they allow it
 */
async function insertBatches(
  client: pg.ClientBase,
  destination: DestinationDeclaration,
  { audience, purpose }: { audience: string; purpose: string },
  people: string,
  { enters, isByHand } = { enters: true, isByHand: false },
): Promise<{ allowed: number; deliveries: string[] }> {
  const { rows } = await client.query<{ id: string | null; allowed: string }>(
    `with held as materialized (
       -- Whom the destination has, or may have, by the last that was done about each.
       select distinct on (r.customer_id) r.customer_id, r.operation, r.state, r.tokens, r.fields,
         d.state = 'manual' as is_left_to_person
       from privacy.recipients as r join privacy.deliveries as d on d.delivery_id = r.batch_id
       where r.recipient = $1 and r.audience = $2 and r.state <> 'withheld'
       order by r.customer_id, r.claimed_at desc, r.operation = 'remove' desc
     ),
     allowed as materialized (${allowedQuery(people, "$3::text", "$4::text[]", "$5::text[]")}),
     moves as (
       select 'deliver' as operation, customer_id from allowed left join held using (customer_id)
       where $7 and (held.customer_id is null or held.state = 'unknown' or held.operation = 'remove' or held.fields <> $6::text[]
         or (held.state = 'done' and held.tokens <> array(select token from core.identifiers as i
           where i.customer_id = allowed.customer_id and i.kind = any($6::text[]) order by token)))
       union all
       select 'remove', customer_id from held
       where (operation = 'deliver' or (state = 'unknown' and not ($8 and is_left_to_person))) and customer_id not in (select customer_id from allowed)
     ),
     numbered as materialized (
       select *, (row_number() over (partition by operation order by customer_id) - 1) / ${BATCH} as number from moves
     ),
     batches as materialized (
       select operation, number, gen_random_uuid() as id, count(*) as members from numbered group by operation, number
     ),
     made as (
       insert into privacy.deliveries (delivery_id, destination, operation, audience, purpose, members)
       select id, $1, operation, $2, $3, members from batches
     ),
     named as (
       insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, fields, operation)
       select batches.id, customer_id, $1, $2, $3, case when operation = 'deliver' then $6::text[] else '{}' end, operation
       from numbered join batches using (operation, number)
     )
     select batches.id, counted.allowed from (select count(*) as allowed from allowed) as counted left join batches on true
     order by batches.operation, batches.number`,
    [
      destination.name,
      audience,
      purpose,
      destination.countsAs,
      OPT_OUT_JURISDICTIONS,
      kindsOf(destination),
      enters,
      isByHand,
    ],
  );
  return { allowed: Number(rows[0]?.allowed), deliveries: rows.flatMap(({ id }) => id ?? []) };
}

/** The kinds of identifiers that go along. */
export function kindsOf({ fields }: DestinationDeclaration): string[] {
  return [...new Set(Object.values(fields))].toSorted();
}

export function erasureBetween(): CodedError {
  const message = "somebody was erased while people were being handed over; start again";
  return new CodedError("epoch_conflict", message, { retryable: true });
}
