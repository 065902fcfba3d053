-- One row per order; its amount is the sum of its lines, net of discount, which the source keeps in single precision.
-- contract: orders
select
    orders.record_key,
    orders.deleted_at,
    orders.order_id::text as order_number,
    orders.customer_id as customer_ref,
    null::text as email_token,
    orders.order_date::timestamp at time zone 'UTC' as ordered_at,
    orders.shipped_date::timestamp at time zone 'UTC' as delivered_at,
    coalesce(sum(details.unit_price::real::double precision::numeric * details.quantity * (1 - details.discount::real::double precision::numeric)), 0) as amount,
    'USD' as currency
from raw.northwind__orders as orders
left join raw.northwind__order_details as details
    on details.order_record_key = orders.record_key and details.deleted_at is null
group by orders.record_key, orders.deleted_at, orders.order_id, orders.customer_id, orders.order_date, orders.shipped_date
