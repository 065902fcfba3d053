-- What a request asks beside its kind: purposes, names of fields, whether it takes back an earlier one. Never a value.
alter table privacy.requests add column terms jsonb not null default '{}' check (pg_column_size(terms) <= 16384);
-- What it brings that must not be read: corrected values, an archive's passphrase. Under the request's own key, gone once used.
alter table privacy.requests add column secret bytea;

-- The right to limit the use of sensitive data is said as other refusals are.
alter table privacy.consent_events drop constraint consent_events_choice_check,
  add constraint consent_events_choice_check check (choice in ('consent', 'objection', 'opt_out', 'limit', 'restriction'));
