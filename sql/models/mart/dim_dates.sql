-- One row per day, from the first year of the data to the last, within 1900 to 2199.
-- key: date
-- not null: year, quarter, month, month_start, month_name, iso_year, iso_week, day_of_week, day_name, is_weekend
-- column date: the day, in the project's time zone
-- column year: the calendar year
-- column quarter: 1 to 4
-- column month: 1 to 12
-- column month_start: the first day of the month
-- column month_name: January to December
-- column iso_year: the year that the ISO week belongs to
-- column iso_week: the ISO week, 1 to 53
-- column day_of_week: 1 (Monday) to 7 (Sunday)
-- column day_name: Monday to Sunday
-- column is_weekend: whether it is a Saturday or Sunday
with moments as (
    select min(ordered_at) as first_at, max(ordered_at) as last_at from core.orders
    union all
    select min(occurred_at), max(occurred_at) from core.events
    union all
    select min(reviewed_at), max(reviewed_at) from core.reviews
),
spans as (
    select
        (first_at at time zone (select ops.time_zone()))::date as first_date,
        (last_at at time zone (select ops.time_zone()))::date as last_date
    from moments
    union all
    select min(spent_on), max(spent_on) from core.ad_spend
),
years as (
    -- One mistyped year must not make a calendar of millennia.
    select
        greatest(extract(year from min(first_date)), 1900)::integer as first_year,
        least(extract(year from max(last_date)), 2199)::integer as last_year
    from spans
),
days as (
    select days.day::date as date
    from years
    cross join lateral generate_series(
        make_timestamp(years.first_year, 1, 1, 0, 0, 0),
        make_timestamp(years.last_year, 12, 31, 0, 0, 0),
        interval '1 day'
    ) as days (day)
    where years.first_year <= years.last_year
)
select
    date,
    extract(year from date)::integer as year,
    extract(quarter from date)::integer as quarter,
    extract(month from date)::integer as month,
    date_trunc('month', date::timestamp)::date as month_start,
    to_char(date::timestamp, 'FMMonth') as month_name,
    extract(isoyear from date)::integer as iso_year,
    extract(week from date)::integer as iso_week,
    extract(isodow from date)::integer as day_of_week,
    to_char(date::timestamp, 'FMDay') as day_name,
    extract(isodow from date) >= 6 as is_weekend
from days
