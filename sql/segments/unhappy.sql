-- Customers whose last review gave 1 or 2 stars: to make up for it, and to leave them out of praise.
-- consent: service
-- follows: mart.fct_reviews by customer_id
with last_reviews as (
    select distinct on (customer_id) customer_id, rating
    from mart.fct_reviews
    order by customer_id, reviewed_at desc, review_id
)
select customer_id
from last_reviews
where rating <= 2
