-- One row per path: the order that its customer ends it with.
-- contract: orders
select
    md5(paths.record_key || ' converted')::uuid as record_key,
    paths.deleted_at,
    paths.path as order_number,
    paths.visitor as customer_ref,
    null::text as email_token,
    timestamptz '2026-01-01T12:00Z' + array_length(string_to_array(paths.path, ' > '), 1) * interval '24 hours' as ordered_at,
    null::timestamptz as delivered_at,
    paths.total_conversion_value::numeric as amount,
    'EUR' as currency
from raw.paths__paths as paths
