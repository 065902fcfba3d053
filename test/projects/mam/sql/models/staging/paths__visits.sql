-- One row per touchpoint of a path: a visit of the path's customer.
-- contract: events
select
    md5(paths.record_key || ' ' || steps.position)::uuid as record_key,
    paths.deleted_at,
    'page_viewed' as name,
    timestamptz '2026-01-01T12:00Z' + steps.position * interval '24 hours' as occurred_at,
    null::text as device_token,
    paths.visitor as customer_ref,
    null::text as email_token,
    null::text as page_url,
    null::text as referrer,
    steps.channel as utm_source,
    'visit' as utm_medium,
    null::text as utm_campaign,
    null::text as product_ref,
    null::jsonb as properties
from raw.paths__paths as paths
cross join lateral string_to_table(paths.path, ' > ') with ordinality as steps (channel, position)
