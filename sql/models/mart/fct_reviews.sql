-- One row per review.
-- key: review_id
-- follows: core.reviews by review_id; core.record_owners by review_id from record_key
-- follows: core.restricted_records by review_id from record_key
-- follows: mart.fct_orders by order_record_key from order_id; mart.dim_products by product_ref
-- foreign key: customer_id -> core.people
-- foreign key: order_id -> mart.fct_orders
-- foreign key: product_id -> mart.dim_products
-- not null: source, customer_id, rating, reviewed_at, review_date
-- column review_id: the review: its record_key
-- column source: the source that the review came from
-- column customer_id: who wrote it; ops.nobody() where that is not known
-- column order_id: the order it is about; null where none is named or the order is not there
-- column order_record_key: the order that the review says it is of, whether that is known or not
-- column review_date: the day of the review in the project's time zone
-- column product_id: the product it is about; null where none is or no product of that reference is known
select
    reviews.record_key as review_id,
    reviews.source,
    coalesce(owners.customer_id, ops.nobody()) as customer_id,
    orders.order_id,
    reviews.order_record_key,
    products.product_id,
    reviews.product_ref,
    reviews.rating,
    reviews.sentiment,
    reviews.reviewed_at,
    (reviews.reviewed_at at time zone (select ops.time_zone()))::date as review_date
from core.reviews as reviews
left join core.record_owners as owners
    on owners.record_key = reviews.record_key
    and owners.record_key not in (select restricted.record_key from core.restricted_records as restricted)
left join mart.fct_orders as orders on orders.order_id = reviews.order_record_key
left join mart.dim_products as products on products.product_ref = reviews.product_ref
