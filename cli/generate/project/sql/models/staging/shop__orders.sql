-- One row per order of the shop.
-- contract: orders
select
    record_key,
    deleted_at,
    order_number,
    customer_id   as customer_ref,
    null::text    as email_token,
    ordered_at,
    delivered_at,
    amount,
    currency
from raw.shop__orders
