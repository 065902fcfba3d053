-- One row per line of an order of the shop.
-- contract: order_lines
select
    record_key,
    deleted_at,
    order_record_key,
    line::integer     as line_number,
    sku               as product_ref,
    quantity::numeric as quantity,
    amount,
    currency
from raw.shop__order_lines
