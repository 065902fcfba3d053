-- One row per customer who has ordered, with recency, frequency and monetary value as of today.
-- key: customer_id
-- foreign key: customer_id -> core.people
-- not null: first_order_date, last_order_date, recency_days, frequency, monetary, average_order_value, currency
-- not null: tenure_days, recency_score, frequency_score, monetary_score, rfm, rfm_segment
-- column customer_id: the customer
-- column first_order_date: day of the first order, in the project's time zone
-- column last_order_date: day of the last order up to today; orders dated later wait for their day
-- column recency_days: days from the last order to today
-- column frequency: how many orders
-- column monetary: what all orders came to, in the reporting currency
-- column average_order_value: monetary value per order
-- column currency: the reporting currency, ISO 4217
-- column tenure_days: days from the first order to today
-- column recency_score: 5 (ordered lately) to 1 (long ago), by fifths of the customers; equal values always score the same
-- column frequency_score: 1 (few orders) to 5 (many); equal values always score the same
-- column monetary_score: 1 (little) to 5 (much); equal values always score the same
-- column rfm: the three scores together: 545 has recency 5, frequency 4, monetary value 5
-- column rfm_segment: what recency and frequency together say of the customer: champions, loyal_customers,
--   potential_loyalists, new_customers, promising, need_attention, about_to_sleep, at_risk, cant_lose_them or hibernating
with settings as materialized (
    -- Read once, and not for every row.
    select (ops.as_of() at time zone ops.time_zone())::date as today, ops.currency() as currency
),
customers as (
    select
        orders.customer_id,
        settings.currency,
        min(orders.order_date) as first_order_date,
        max(orders.order_date) as last_order_date,
        settings.today - max(orders.order_date) as recency_days,
        count(*) as frequency,
        coalesce(sum(orders.amount), 0) as monetary,
        settings.today - min(orders.order_date) as tenure_days
    from mart.fct_orders as orders
    join settings on orders.order_date <= settings.today
    where orders.customer_id <> ops.nobody()
    group by orders.customer_id, settings.currency, settings.today
),
-- The four values that part the customers into fifths. A score counts how many of them a value exceeds, so that equal
-- values never part; where many customers share one value (a single order), a fifth can stay empty.
cuts as (
    select
        percentile_cont(array[0.2, 0.4, 0.6, 0.8]) within group (order by recency_days) as recency,
        percentile_cont(array[0.2, 0.4, 0.6, 0.8]) within group (order by frequency) as frequency,
        percentile_cont(array[0.2, 0.4, 0.6, 0.8]) within group (order by monetary::double precision) as monetary
    from customers
),
scores as (
    select
        customers.*,
        5 - (customers.recency_days > cuts.recency[1])::integer - (customers.recency_days > cuts.recency[2])::integer
            - (customers.recency_days > cuts.recency[3])::integer
            - (customers.recency_days > cuts.recency[4])::integer as recency_score,
        1 + (customers.frequency > cuts.frequency[1])::integer + (customers.frequency > cuts.frequency[2])::integer
            + (customers.frequency > cuts.frequency[3])::integer
            + (customers.frequency > cuts.frequency[4])::integer as frequency_score,
        1 + (customers.monetary::double precision > cuts.monetary[1])::integer
            + (customers.monetary::double precision > cuts.monetary[2])::integer
            + (customers.monetary::double precision > cuts.monetary[3])::integer
            + (customers.monetary::double precision > cuts.monetary[4])::integer as monetary_score
    from customers
    cross join cuts
)
select
    customer_id,
    first_order_date,
    last_order_date,
    recency_days,
    frequency,
    monetary,
    monetary / frequency as average_order_value,
    currency,
    tenure_days,
    recency_score,
    frequency_score,
    monetary_score,
    recency_score::text || frequency_score::text || monetary_score::text as rfm,
    case
        when recency_score = 5 and frequency_score >= 4 then 'champions'
        when recency_score >= 3 and frequency_score >= 4 then 'loyal_customers'
        when recency_score >= 4 and frequency_score >= 2 then 'potential_loyalists'
        when recency_score = 5 then 'new_customers'
        when recency_score = 4 then 'promising'
        when recency_score = 3 and frequency_score = 3 then 'need_attention'
        when recency_score = 3 then 'about_to_sleep'
        when frequency_score = 5 then 'cant_lose_them'
        when frequency_score >= 3 then 'at_risk'
        else 'hibernating'
    end as rfm_segment
from scores
