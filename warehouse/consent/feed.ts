import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import { quoteName } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";

/** How often an erasure may come between before the feed leaves the rest to its next attempt. */
const ATTEMPTS = 5;

/**
 * Brings into the ledger what the sources' consents say since the last time: a new or changed record is a new event. A
 * record that is gone takes back the consent that it gave, and never a refusal: a source that clears old rows must not
 * open what people have closed.
 * @returns how many events were added
 * @throws CodedError `epoch_conflict` where erasures keep coming between
 */
export async function feedLedger(pool: pg.Pool): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const added = await feedOnce(pool);
    if (added !== null) return added;
  }
  throw new CodedError("epoch_conflict", "erasures came between reading the consents and writing them down", {
    retryable: true,
  });
}

/** Whether somebody has said something since this was asked last: a build may have told since of whom it is. */
export async function hasLedgerGrown(pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query(
    `insert into ops.notes (name, value) select 'consent ledger built', max(event_id)::text from privacy.consent_events having count(*) > 0
     on conflict (name) do update set value = excluded.value where ops.notes.value <> excluded.value`,
  );
  return (rowCount ?? 0) > 0;
}

/** null: an erasure came between, and nothing was written. */
async function feedOnce(pool: pg.Pool): Promise<number | null> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    // Two at once would both find the same events missing.
    await client.query("select pg_advisory_xact_lock(hashtextextended('miette.consents', 0))");
    const epoch = await readEpoch(client);
    const tokens = await tokenColumns(client);
    const added = tokens.length ? await addEvents(client, tokens) : 0;
    if ((await lockEpoch(client)) !== epoch) {
      await client.query("rollback");
      return null;
    }
    await client.query("commit");
    return added;
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** The columns of `core.consents` that hold identifiers; none where no build has made it. */
async function tokenColumns(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = to_regclass('core.consents') and attnum > 0
       and not attisdropped and (attname = 'customer_ref' or attname like '%\\_token') order by attname`,
  );
  return rows.map(({ name }) => name);
}

async function addEvents(client: pg.ClientBase, tokens: string[]): Promise<number> {
  const columns = tokens.map((name) => `consents.${quoteName(name)}`).join(", ");
  // A purpose that is no word, and a record without an identifier, say nothing about anybody.
  const { rows } = await client.query<{ added: string }>(
    `with said as materialized (
       select record_key, source, lower(btrim(purpose)) as purpose, is_granted, occurred_at, jurisdiction, notice_version,
         expires_at, array(select distinct token from unnest(array[${columns}]::text[]) as token where token is not null order by token) as tokens
       from core.consents as consents
     ),
     known as materialized (
       select distinct on (event.record_key) event.record_key, event.event_id, event.is_given, event.purpose, event.occurred_at,
         event.jurisdiction, event.notice_version, event.expires_at, event.source
       from privacy.consent_events as event where event.record_key is not null
       order by event.record_key, event.event_id desc
     ),
     changed as (
       select said.* from said left join known using (record_key)
       where said.tokens <> '{}' and said.purpose ~ '^[a-z][a-z0-9_]{0,62}$'
         and ((known.is_given, known.purpose, known.occurred_at, known.jurisdiction, known.notice_version, known.expires_at)
             is distinct from (said.is_granted, said.purpose, said.occurred_at, said.jurisdiction, said.notice_version, said.expires_at)
           or said.tokens <> array(select token from privacy.consent_identifiers as who where who.event_id = known.event_id order by token))
     ),
     gone as (
       select * from known where is_given and not exists (select from said where said.record_key = known.record_key)
     ),
     added as (
       insert into privacy.consent_events
         (occurred_at, choice, is_given, purpose, source, record_key, notice_version, jurisdiction, expires_at)
       select occurred_at, 'consent', is_granted, purpose, source, record_key, left(notice_version, 200),
         left(jurisdiction, 20), expires_at from changed
       union all
       select now(), 'consent', null, purpose, source, record_key, notice_version, jurisdiction, null from gone
       returning event_id, record_key, is_given
     ),
     named as (
       insert into privacy.consent_identifiers (token, event_id)
       select token, added.event_id from added join changed using (record_key), unnest(changed.tokens) as token
       where added.is_given is not null
     )
     select count(*) as added from added`,
  );
  return Number(rows[0]?.added);
}
