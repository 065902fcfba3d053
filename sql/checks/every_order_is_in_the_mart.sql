-- Every order that a source has is in the mart, and no other.
-- severity: error
-- follows: core.orders by order_id from record_key; mart.fct_orders by order_id
select coalesce(orders.record_key, facts.order_id) as order_id
from core.orders as orders
full join mart.fct_orders as facts on facts.order_id = orders.record_key
where orders.record_key is null or facts.order_id is null
