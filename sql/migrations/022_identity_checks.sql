-- Whether who asks is who they say (GDPR article 12(6)): of requests that came from outside, where the law allows to ask.
create table privacy.identity_checks (
  request_id uuid primary key references privacy.requests,
  -- From then on the request has expired, unless it was verified.
  expires_at timestamptz not null,
  -- SHA-256 over the request's id and a one-time code that went to an address we hold of the person; null: none was made.
  code_hash bytea check (length(code_hash) = 32),
  code_expires_at timestamptz,
  -- Wrong answers to this code.
  attempts integer not null default 0,
  codes integer not null default 0
);

-- Where a controller wants to hear what has become of its request.
create table privacy.request_callbacks (
  request_id uuid not null references privacy.requests,
  url text not null check (length(url) <= 2000),
  told_status text,
  told_at timestamptz,
  primary key (request_id, url)
);
