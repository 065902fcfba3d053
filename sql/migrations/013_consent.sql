-- What people have allowed and forbidden, as it was said. An event names nobody: who said it stands beside it, where an
-- erasure cuts it, and the proof that somebody once consented stays.

create table privacy.consent_events (
  event_id bigint generated always as identity primary key,
  -- By the clock of whoever heard it; counts at the latest from the moment it was written down.
  occurred_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),
  choice text not null check (choice in ('consent', 'objection', 'opt_out', 'restriction')),
  -- Null: the source no longer has the record by which consent was given, so it proves nothing.
  is_given boolean,
  -- `marketing`, `analytics`, `sale`; `*` for all.
  purpose text not null check (purpose = '*' or purpose ~ '^[a-z][a-z0-9_]{0,62}$'),
  -- Who heard it: a source, or `cli`.
  source text not null check (length(source) between 1 and 200),
  -- The source's record; a later event of the same record takes the place of the earlier.
  record_key uuid,
  -- Which text the person was shown.
  notice_version text check (length(notice_version) <= 200),
  jurisdiction text check (length(jurisdiction) <= 20),
  expires_at timestamptz,
  check (is_given is not null or choice = 'consent'),
  check (purpose <> '*' or choice <> 'consent' or is_given is not true)
);
create index on privacy.consent_events (record_key, event_id desc) where record_key is not null;
create trigger insert_only before update or delete or truncate on privacy.consent_events
  for each statement execute function privacy.refuse_row_change();

create table privacy.consent_identifiers (
  token text not null,
  event_id bigint not null references privacy.consent_events,
  primary key (token, event_id)
);
create index on privacy.consent_identifiers (event_id);

grant select on privacy.consent_events to auditor, activator;
grant select on privacy.consent_identifiers to activator;
