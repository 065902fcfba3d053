-- Every line belongs to an order that has arrived; a line without one is left out of the mart until it has.
-- severity: warn
-- follows: core.order_lines by record_key; core.orders by order_record_key from record_key
select lines.record_key, lines.order_record_key
from core.order_lines as lines
where not exists (select from core.orders as orders where orders.record_key = lines.order_record_key)
