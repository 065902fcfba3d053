-- One row per event.
-- contract: events
select
    record_key,
    deleted_at,
    event as name,
    timestamp as occurred_at,
    null::text as device_token,
    user_id as customer_ref,
    null::text as email_token,
    null::text as page_url,
    null::text as referrer,
    acquisition_channel as utm_source,
    null::text as utm_medium,
    null::text as utm_campaign,
    null::text as product_ref,
    jsonb_build_object('session_id', session_id, 'platform', platform) as properties
from raw.web__events
