-- One row per social post of a customer.
-- contract: events
select
    record_key,
    deleted_at,
    'social_post' as name,
    tweeted_at as occurred_at,
    null::text as device_token,
    user_id as customer_ref,
    null::text as email_token,
    null::text as page_url,
    null::text as referrer,
    null::text as utm_source,
    null::text as utm_medium,
    null::text as utm_campaign,
    null::text as product_ref,
    null::jsonb as properties
from raw.jaffle__tweets
