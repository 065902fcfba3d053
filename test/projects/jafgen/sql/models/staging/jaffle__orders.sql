-- One row per order; the shop counts in cents.
-- contract: orders
select
    record_key,
    deleted_at,
    id::text as order_number,
    customer as customer_ref,
    null::text as email_token,
    ordered_at,
    null::timestamptz as delivered_at,
    order_total / 100.0 as amount,
    'USD' as currency
from raw.jaffle__orders
