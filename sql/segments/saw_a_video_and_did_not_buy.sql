-- Customers who watched a video in the last 90 days and have not ordered since: to remind them of what they saw.
-- consent: marketing
-- follows: mart.fct_events by customer_id; mart.fct_orders by customer_id
with videos as (
    select customer_id, max(occurred_at) as last_watched_at
    from mart.fct_events
    where occurred_at >= (select ops.as_of()) - interval '90 days' and name ~* 'video'
    group by customer_id
),
orders as (
    select customer_id, max(ordered_at) as last_ordered_at
    from mart.fct_orders
    group by customer_id
)
select videos.customer_id
from videos
left join orders on orders.customer_id = videos.customer_id
where orders.last_ordered_at >= videos.last_watched_at is not true
