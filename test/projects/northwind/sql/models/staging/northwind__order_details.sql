-- One row per product of an order, net of discount.
-- contract: order_lines
select
    record_key,
    deleted_at,
    order_record_key,
    product_id::integer as line_number,
    product_id::text as product_ref,
    quantity::numeric as quantity,
    unit_price::real::double precision::numeric * quantity * (1 - discount::real::double precision::numeric) as amount,
    'USD' as currency
from raw.northwind__order_details
