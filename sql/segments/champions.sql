-- The best customers, who ordered lately and often: to thank them, and to find more like them.
-- consent: marketing
-- follows: mart.customer_metrics by customer_id
select customer_id
from mart.customer_metrics
where rfm_segment = 'champions'
