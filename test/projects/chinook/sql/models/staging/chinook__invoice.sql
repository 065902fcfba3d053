-- One row per invoice.
-- contract: orders
select
    record_key,
    deleted_at,
    invoice_id::text as order_number,
    customer_id as customer_ref,
    null::text as email_token,
    invoice_date as ordered_at,
    null::timestamptz as delivered_at,
    total::numeric as amount,
    'USD' as currency
from raw.chinook__invoice
