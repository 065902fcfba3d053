-- One row per event on the shop's pages.
-- contract: events
select
    record_key,
    deleted_at,
    event       as name,
    occurred_at,
    device_id   as device_token,
    null::text  as customer_ref,
    email       as email_token,
    page_url,
    referrer,
    null::text  as utm_source,
    null::text  as utm_medium,
    null::text  as utm_campaign,
    product_sku as product_ref,
    properties
from raw.web__events
