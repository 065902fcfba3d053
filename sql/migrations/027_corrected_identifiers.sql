alter table privacy.corrections
  -- Tokens of the identifiers that stand sealed in a correction, the right one and the one that the source sends: both are the
  -- person's whose record it is, and no table of raw holds the latter. Those of before are noted as their records land again.
  add column value_identifiers text[] not null default '{}',
  -- Tokens by which the corrections of this value were asked for: by what was replaced itself the person is found on.
  add column asked_as text[] not null default '{}';
