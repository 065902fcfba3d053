-- One row per month of first orders and month since then, up to the current month.
-- key: cohort_month, month_number
-- not null: month, customers, active_customers, retention, orders, revenue, currency
-- column cohort_month: first day of the month in which the customers ordered for the first time
-- column month_number: months since then; in month 0 all of them ordered
-- column month: first day of the month that the figures are of; the current month is not over yet
-- column customers: how many customers the cohort has
-- column active_customers: how many of them ordered in the month
-- column retention: active customers as a share of all, 0 to 1
-- column orders: how many orders they made in the month
-- column revenue: what these orders came to, in the reporting currency
-- column currency: the reporting currency, ISO 4217
with settings as materialized (
    -- Read once, and not for every row.
    select (ops.as_of() at time zone ops.time_zone())::date as today
),
months as (
    select
        orders.customer_id,
        date_trunc('month', orders.order_date::timestamp)::date as month,
        min(date_trunc('month', orders.order_date::timestamp)::date)
            over (partition by orders.customer_id) as cohort_month,
        orders.amount
    from mart.fct_orders as orders
    join settings on orders.order_date <= settings.today
    where orders.customer_id <> ops.nobody()
),
activity as (
    select
        cohort_month,
        month,
        count(distinct customer_id) as active_customers,
        count(*) as orders,
        coalesce(sum(amount), 0) as revenue
    from months
    group by cohort_month, month
),
cohorts as (
    select
        activity.cohort_month,
        activity.active_customers as customers,
        date_part('year', settings.today) * 12 + date_part('month', settings.today)
            - date_part('year', activity.cohort_month) * 12 - date_part('month', activity.cohort_month) as age
    from activity
    cross join settings
    where activity.month = activity.cohort_month
),
-- Months without an order are shown too, with zero.
grid as (
    select
        cohorts.cohort_month,
        cohorts.customers,
        numbers.month_number,
        (cohorts.cohort_month + make_interval(months => numbers.month_number))::date as month
    from cohorts
    cross join lateral generate_series(0, cohorts.age::integer) as numbers (month_number)
)
select
    grid.cohort_month,
    grid.month_number,
    grid.month,
    grid.customers,
    coalesce(activity.active_customers, 0) as active_customers,
    coalesce(activity.active_customers, 0)::numeric / grid.customers as retention,
    coalesce(activity.orders, 0) as orders,
    coalesce(activity.revenue, 0) as revenue,
    (select ops.currency()) as currency
from grid
left join activity on activity.cohort_month = grid.cohort_month and activity.month = grid.month
