-- Every order's amount is the sum of its lines; an order without lines is not compared.
-- Shops add shipping and taxes to an order in ways that its lines may not show, so this warns.
-- severity: warn
-- follows: mart.fct_orders by order_id; mart.fct_order_lines by order_id
select orders.order_id, orders.amount, sum(lines.amount) as lines_amount
from mart.fct_orders as orders
join mart.fct_order_lines as lines on lines.order_id = orders.order_id
group by orders.order_id, orders.amount
having (abs(orders.amount - sum(lines.amount)) <= 0.01) is not true
