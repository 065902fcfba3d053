-- One row per circumstance that reviews differ by, with how much better or worse their mean rating is with it than without.
-- key: driver, value
-- not null: label, rank, reviews_with, reviews_without, mean_with, mean_without, difference
-- not null: ci_low, ci_high, is_certain
-- column driver: product, category, channel, delivery_days, price or month
-- column value: the product's reference, its category, the channel that led to the order first, the days from order to
--   delivery (0-2, 3-4, 5-7, 8+), the quarter of the products by price that the product is in (1 cheapest to 4 dearest)
--   or the first day of the month in which the review was written
-- column label: the value for people to read
-- column rank: 1 is the greatest certain difference, in either direction; those that are not certain come last
-- column reviews_with: reviews with it; a driver with or without fewer than 10 reviews is left out
-- column reviews_without: reviews with another value of the same driver
-- column mean_with: mean rating of the reviews with it
-- column mean_without: mean rating of the reviews without it
-- column difference: mean rating with it less the mean without it: below 0, it goes with worse ratings
-- column ci_low: lower end of the difference's 95% confidence interval (Welch, quantiles of the t distribution)
-- column ci_high: upper end of it
-- column is_certain: whether 0 lies outside the interval
with settings as materialized (
    -- Read once, and not for every row.
    select 10 as least_reviews, ops.time_zone() as time_zone
),
reviews as (
    select
        reviews.review_id,
        reviews.rating,
        date_trunc('month', reviews.review_date::timestamp)::date as month,
        reviews.product_id,
        reviews.product_ref,
        reviews.order_id,
        products.product_name,
        products.category,
        first_touches.channel,
        (orders.delivered_at at time zone settings.time_zone)::date - orders.order_date as delivery_days
    from mart.fct_reviews as reviews
    cross join settings
    left join mart.dim_products as products on products.product_id = reviews.product_id
    left join mart.fct_orders as orders on orders.order_id = reviews.order_id
    left join mart.fct_attribution as first_touches
        on first_touches.order_id = reviews.order_id and first_touches.model = 'first'
),
prices as (
    select product_id, sum(amount) / nullif(sum(quantity), 0) as price
    from mart.fct_order_lines
    where product_id is not null
    group by product_id
),
price_cuts as (
    select percentile_disc(array[0.25, 0.5, 0.75]) within group (order by price) as cuts
    from prices
    where price is not null
),
quarters as (
    select
        prices.product_id,
        1 + (prices.price > price_cuts.cuts[1])::integer + (prices.price > price_cuts.cuts[2])::integer
            + (prices.price > price_cuts.cuts[3])::integer as quarter
    from prices
    cross join price_cuts
    where prices.price is not null
),
tagged as (
    select 'product' as driver, product_ref as value, coalesce(product_name, product_ref) as label, rating
    from reviews
    where product_ref is not null
    union all
    select 'category', category, category, rating
    from reviews
    where category is not null
    union all
    select 'channel', channel, channel, rating
    from reviews
    where channel is not null
    union all
    select 'delivery_days', bands.value, bands.value || ' days', reviews.rating
    from reviews
    join (values ('0-2', 0, 2), ('3-4', 3, 4), ('5-7', 5, 7), ('8+', 8, null)) as bands (value, least, most)
        on reviews.delivery_days >= bands.least and reviews.delivery_days <= coalesce(bands.most, reviews.delivery_days)
    union all
    select
        'price',
        quarters.quarter::text,
        (array['cheapest quarter', 'second quarter', 'third quarter', 'dearest quarter'])[quarters.quarter],
        reviews.rating
    from reviews
    join quarters on quarters.product_id = reviews.product_id
    union all
    select 'month', month::text, to_char(month::timestamp, 'FMMonth YYYY'), rating
    from reviews
),
with_it as (
    select
        driver,
        value,
        min(label) as label,
        count(*) as reviews,
        sum(rating) as stars,
        sum(rating * rating) as squares
    from tagged
    group by driver, value
),
-- What the other values of a driver come to is the difference to its sums, which are exact.
both_sides as (
    select
        with_it.driver,
        with_it.value,
        with_it.label,
        with_it.reviews,
        with_it.stars,
        with_it.squares,
        sum(with_it.reviews) over (partition by with_it.driver) - with_it.reviews as other_reviews,
        sum(with_it.stars) over (partition by with_it.driver) - with_it.stars as other_stars,
        sum(with_it.squares) over (partition by with_it.driver) - with_it.squares as other_squares
    from with_it
),
means as (
    select
        both_sides.driver,
        both_sides.value,
        both_sides.label,
        both_sides.reviews as reviews_with,
        both_sides.other_reviews::bigint as reviews_without,
        both_sides.stars / both_sides.reviews as mean_with,
        both_sides.other_stars / both_sides.other_reviews as mean_without,
        -- The squared standard error of each mean.
        (
            (both_sides.squares - both_sides.stars * both_sides.stars / both_sides.reviews)
            / (both_sides.reviews - 1) / both_sides.reviews
        )::double precision as error_with,
        (
            (both_sides.other_squares - both_sides.other_stars * both_sides.other_stars / both_sides.other_reviews)
            / (both_sides.other_reviews - 1) / both_sides.other_reviews
        )::double precision as error_without
    from both_sides
    join settings
        on both_sides.reviews >= settings.least_reviews and both_sides.other_reviews >= settings.least_reviews
),
freedom as (
    select
        *,
        greatest(error_with, 0) + greatest(error_without, 0) as error,
        -- Welch and Satterthwaite's degrees of freedom.
        power(error_with + error_without, 2) / nullif(
            power(error_with, 2) / (reviews_with - 1) + power(error_without, 2) / (reviews_without - 1), 0
        ) as degrees
    from means
),
intervals as (
    select
        *,
        mean_with - mean_without as difference,
        -- The 97.5% quantile of t, by Fisher's expansion around the normal one, 1.959964: within 0.001 from 4 degrees on.
        coalesce(
            1.959964 + 2.372271 / degrees + 2.822499 / power(degrees, 2) + 2.555852 / power(degrees, 3)
            + 1.589533 / power(degrees, 4), 1.959964
        ) * sqrt(error) as margin
    from freedom
),
bounds as (
    select
        *,
        difference::double precision - margin as ci_low,
        difference::double precision + margin as ci_high
    from intervals
),
judged as (
    select *, ci_low > 0 or ci_high < 0 as is_certain
    from bounds
)
select
    driver,
    value,
    label,
    row_number() over (order by is_certain desc, abs(difference) desc, driver, value) as rank,
    reviews_with,
    reviews_without,
    mean_with,
    mean_without,
    difference,
    ci_low,
    ci_high,
    is_certain
from judged
