import type pg from "pg";
import { OPT_OUT_JURISDICTIONS, type Choice, type ConsentState } from "../../domain/consent.ts";

/**
 * A select of what holds now for the people of `people`, a relation with a column `customer_id`: one row per person and
 * purpose of `purposes`, with `standing`, `is_allowed` and `jurisdiction`.
 *
 * Of each kind of choice the latest word about a purpose counts, whichever of the person's identifiers it came by. It
 * counts at the latest from when it was written down, so that a wrong clock can't speak for years to come; of two of the
 * same moment the one that forbids. A consent never outweighs an objection, an opt-out or a restriction: these end when
 * they are lifted. Use needs a yes unless every law that the person's events name lets it be without.
 *
 * @param purposes an SQL expression of type text[]
 * @param optOut an SQL expression of type text[]: the jurisdictions that let it be without
 */
export function standingQuery(people: string, purposes: string, optOut: string): string {
  return `
    select customer_id, purpose, standing, standing = 'granted' or (standing = 'unknown' and is_opt_out) as is_allowed, jurisdiction
    from (
      select people.customer_id, asked.purpose, said.jurisdiction, coalesce(said.is_opt_out, false) as is_opt_out,
        case when said.restriction then 'restricted' when said.objection then 'objected' when said.opt_out then 'opted_out'
          when said.consent then 'granted' when not said.consent then 'refused' else 'unknown' end as standing
      from ${people} as people cross join unnest(${purposes}) as asked (purpose)
      cross join lateral (
        with events as materialized (
          select distinct event.*, least(event.occurred_at, event.recorded_at) as counts_from
          from core.identifiers as identifier
          join privacy.consent_identifiers as who on who.token = identifier.token
          join privacy.consent_events as event on event.event_id = who.event_id
          where identifier.customer_id = people.customer_id and people.customer_id <> ops.nobody()
            and not exists (select from privacy.consent_events as later where later.record_key = event.record_key and later.event_id > event.event_id)
        ),
        -- The latest of each kind, over what was said of the purpose and of all.
        latest as (
          select distinct on (choice) choice, is_given and coalesce(expires_at > now(), true) as holds,
            coalesce(is_given and expires_at <= now(), false) as is_expired
          from events where events.purpose in (asked.purpose, '*') and is_given is not null
          order by choice, counts_from desc, is_given = (choice <> 'consent') desc, event_id desc
        )
        select coalesce(bool_or(holds) filter (where choice = 'restriction'), false) as restriction,
          coalesce(bool_or(holds) filter (where choice = 'objection'), false) as objection,
          coalesce(bool_or(holds) filter (where choice = 'opt_out'), false) as opt_out,
          bool_or(holds) filter (where choice = 'consent' and not is_expired) as consent,
          (select bool_and(jurisdiction = any(${optOut})) from events where jurisdiction is not null) as is_opt_out,
          (select jurisdiction from events where jurisdiction is not null
           order by jurisdiction = any(${optOut}), counts_from desc, event_id desc limit 1) as jurisdiction
        from latest
      ) as said
    ) as standings`;
}

/** What holds now of some people, for each purpose. */
export async function readConsent(
  client: pg.ClientBase | pg.Pool,
  customerIds: string[],
  purposes: string[],
): Promise<ConsentState[]> {
  const { rows } = await client.query<ConsentState>(
    `select customer_id as "customerId", purpose, standing, is_allowed as "isAllowed", jurisdiction
     from (${standingQuery("(select unnest($1::uuid[]) as customer_id)", "$2::text[]", "$3::text[]")}) as state
     order by customer_id, purpose`,
    [customerIds, purposes, OPT_OUT_JURISDICTIONS],
  );
  return rows;
}

/** One line of the ledger, for people. */
export interface LedgerLine extends Record<string, unknown> {
  event: number;
  occurredAt: string;
  choice: Choice;
  /** null: the source no longer has the record by which consent was given. */
  given: boolean | null;
  purpose: string;
  source: string;
  notice: string | null;
  jurisdiction: string | null;
  expiresAt: string | null;
}

/** Everything that one person has said, the newest first. */
export async function readLedger(pool: pg.Pool, customerId: string): Promise<LedgerLine[]> {
  const { rows } = await pool.query<LedgerLine>(
    `select event_id::integer as event, occurred_at::text as "occurredAt", choice, is_given as given, purpose, source,
       notice_version as notice, jurisdiction, expires_at::text as "expiresAt"
     from privacy.consent_events
     where event_id in (select event_id from privacy.consent_identifiers join core.identifiers using (token)
                        where customer_id = $1 and customer_id <> ops.nobody())
     order by occurred_at desc, event_id desc`,
    [customerId],
  );
  return rows;
}
