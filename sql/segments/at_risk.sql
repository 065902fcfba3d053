-- Customers who used to order often and have not for long: to win them back.
-- consent: marketing
-- follows: mart.customer_metrics by customer_id
select customer_id
from mart.customer_metrics
where rfm_segment in ('at_risk', 'cant_lose_them')
