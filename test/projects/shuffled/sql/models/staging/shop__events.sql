-- One row per event.
-- contract: events
select
    record_key,
    deleted_at,
    'visit' as name,
    occurred_at,
    device as device_token,
    customer as customer_ref,
    null::text as email_token,
    null::text as page_url,
    null::text as referrer,
    null::text as utm_source,
    null::text as utm_medium,
    null::text as utm_campaign,
    id::text as product_ref,
    null::jsonb as properties
from raw.shop__events
