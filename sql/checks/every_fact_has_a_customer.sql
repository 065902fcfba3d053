-- Every fact belongs to a customer that dim_customers shows, or to nobody.
-- severity: error
with facts as (
    select customer_id from mart.fct_orders
    union
    select customer_id from mart.fct_order_lines
    union
    select customer_id from mart.fct_events
    union
    select customer_id from mart.fct_reviews
)
select facts.customer_id
from facts
where facts.customer_id <> ops.nobody()
    and not exists (select from mart.dim_customers as customers where customers.customer_id = facts.customer_id)
