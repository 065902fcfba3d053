-- One row per purchase, as the only line of its order.
-- contract: order_lines
select
    record_key,
    deleted_at,
    record_key as order_record_key,
    1 as line_number,
    null::text as product_ref,
    cds::numeric as quantity,
    dollars::numeric as amount,
    'USD' as currency
from raw.cdnow__purchases
