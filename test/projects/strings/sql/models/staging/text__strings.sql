-- One row per string, as an event.
-- contract: events
select
    record_key,
    deleted_at,
    'string' as name,
    '2026-01-01T00:00:00Z'::timestamptz as occurred_at,
    null::text as device_token,
    null::text as customer_ref,
    null::text as email_token,
    open as page_url,
    null::text as referrer,
    null::text as utm_source,
    null::text as utm_medium,
    null::text as utm_campaign,
    id::text as product_ref,
    nested as properties
from raw.text__strings
