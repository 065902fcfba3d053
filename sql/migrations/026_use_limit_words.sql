-- What was said since the last build, so that a build looks at that and not at all that was ever said. Events and no
-- tokens: who said it stands in one place alone.
create table ops.use_limit_words (
  event_id bigint not null
);

alter table ops.use_limits
  -- When the latest word ends by itself.
  add column ends_at timestamptz,
  -- Who has said it is said otherwise since: it is to be told anew.
  add column is_stale boolean not null default false;
create index on ops.use_limits (ends_at) where ends_at is not null;
create index on ops.use_limits (token) where is_stale;

-- The next build looks at everything once more.
insert into ops.use_limit_words (event_id) select event_id from privacy.consent_events where choice <> 'consent';
update ops.use_limits set is_stale = true;

create function privacy.note_use_limit_words() returns trigger language plpgsql security definer
  set search_path = pg_catalog as
$$
begin
  insert into ops.use_limit_words (event_id)
  select distinct event.event_id from new_rows join privacy.consent_events as event on event.event_id = new_rows.event_id
  where event.choice <> 'consent';
  return null;
end
$$;
create function privacy.note_stale_use_limits() returns trigger language plpgsql security definer
  set search_path = pg_catalog as
$$
begin
  update ops.use_limits set is_stale = true where token in (select token from old_rows) and not is_stale;
  return null;
end
$$;
create trigger note_use_limit_words after insert on privacy.consent_identifiers
  referencing new table as new_rows for each statement execute function privacy.note_use_limit_words();
create trigger note_renamed_use_limit_words after update on privacy.consent_identifiers
  referencing new table as new_rows for each statement execute function privacy.note_use_limit_words();
create trigger note_stale_use_limits after delete on privacy.consent_identifiers
  referencing old table as old_rows for each statement execute function privacy.note_stale_use_limits();
create trigger note_renamed_use_limits after update on privacy.consent_identifiers
  referencing old table as old_rows for each statement execute function privacy.note_stale_use_limits();
