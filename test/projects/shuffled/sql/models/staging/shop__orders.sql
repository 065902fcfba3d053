-- One row per order.
-- contract: orders
select
    record_key,
    deleted_at,
    id::text as order_number,
    null::text as customer_ref,
    email as email_token,
    ordered_at,
    null::timestamptz as delivered_at,
    amount::numeric as amount,
    'EUR' as currency
from raw.shop__orders
