-- One row per track of an invoice.
-- contract: order_lines
select
    record_key,
    deleted_at,
    invoice_record_key as order_record_key,
    invoice_line_id::integer as line_number,
    track_id::text as product_ref,
    quantity::numeric as quantity,
    unit_price * quantity as amount,
    'USD' as currency
from raw.chinook__invoice_line
