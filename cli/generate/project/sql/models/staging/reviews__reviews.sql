-- One row per review of an article, tied to the order that it came with.
-- contract: reviews
select
    record_key,
    deleted_at,
    sku             as product_ref,
    null::text      as customer_ref,
    email           as email_token,
    order_record_key,
    rating::numeric as rating,
    text_sentiment  as sentiment,
    reviewed_at
from raw.reviews__reviews
