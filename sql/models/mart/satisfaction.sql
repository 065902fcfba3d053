-- One row per month and product, channel or all together, with what the month's reviews say of it.
-- key: dimension, value, month
-- not null: label, reviews
-- column dimension: all, product or channel
-- column value: all; the product's reference; or the channel that led to the reviewed order first
-- column label: the value for people to read
-- column month: first day of the month in which the reviews were written
-- column reviews: how many reviews there are; with fewer than 5, the figures beside are null, since they would say more
--   of the reviewers than of the month
-- column mean_rating: mean of their stars
-- column low_share: share of them that give 1 or 2 stars, 0 to 1
-- column mean_sentiment: mean mood of their texts, from -1 to 1; null also where fewer than 5 have one
with settings as (
    select 5 as least_reviews
),
reviews as (
    select
        reviews.rating,
        reviews.sentiment,
        date_trunc('month', reviews.review_date::timestamp)::date as month,
        reviews.product_ref,
        coalesce(products.product_name, reviews.product_ref) as product_name,
        first_touches.channel
    from mart.fct_reviews as reviews
    left join mart.dim_products as products on products.product_id = reviews.product_id
    left join mart.fct_attribution as first_touches
        on first_touches.order_id = reviews.order_id and first_touches.model = 'first'
),
tagged as (
    select 'all' as dimension, 'all' as value, 'all reviews' as label, month, rating, sentiment
    from reviews
    union all
    select 'product', product_ref, product_name, month, rating, sentiment
    from reviews
    where product_ref is not null
    union all
    select 'channel', channel, channel, month, rating, sentiment
    from reviews
    where channel is not null
),
counted as (
    select
        tagged.dimension,
        tagged.value,
        min(tagged.label) as label,
        tagged.month,
        count(*) as reviews,
        avg(tagged.rating) as mean_rating,
        avg((tagged.rating <= 2)::integer) as low_share,
        count(tagged.sentiment) as moods,
        avg(tagged.sentiment) as mean_sentiment
    from tagged
    group by tagged.dimension, tagged.value, tagged.month
)
select
    counted.dimension,
    counted.value,
    counted.label,
    counted.month,
    counted.reviews,
    case when counted.reviews >= settings.least_reviews then counted.mean_rating end as mean_rating,
    case when counted.reviews >= settings.least_reviews then counted.low_share end as low_share,
    case when counted.moods >= settings.least_reviews then counted.mean_sentiment end as mean_sentiment
from counted
cross join settings
