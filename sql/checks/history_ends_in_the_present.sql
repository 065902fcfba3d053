-- Every customer's history ends in the attributes that dim_customers shows.
-- severity: error
-- follows: mart.dim_customers by customer_id; mart.dim_customer_history by customer_id
with present as (
    select customer_id, is_anonymous, country, birth_year, registered_at
    from mart.dim_customer_history
    where upper_inf(valid)
)
select coalesce(customers.customer_id, present.customer_id) as customer_id
from mart.dim_customers as customers
full join present on present.customer_id = customers.customer_id
where customers.customer_id is null
    or present.customer_id is null
    or (customers.is_anonymous, customers.country, customers.birth_year, customers.registered_at)
        is distinct from (present.is_anonymous, present.country, present.birth_year, present.registered_at)
