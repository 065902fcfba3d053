-- One row per purchase, as an order.
-- contract: orders
select
    record_key,
    deleted_at,
    null::text as order_number,
    sample_id as customer_ref,
    null::text as email_token,
    ordered_on::timestamp at time zone 'UTC' as ordered_at,
    null::timestamptz as delivered_at,
    dollars::numeric as amount,
    'USD' as currency
from raw.cdnow__purchases
