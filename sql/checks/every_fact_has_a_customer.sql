-- Every fact belongs to a customer that dim_customers shows, or to nobody.
-- severity: error
-- follows: mart.fct_orders by customer_id; mart.fct_order_lines by customer_id; mart.fct_events by customer_id
-- follows: mart.fct_reviews by customer_id; mart.dim_customers by customer_id
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
