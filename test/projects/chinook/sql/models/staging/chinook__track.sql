-- One row per track.
-- contract: products
select
    record_key,
    deleted_at,
    track_id::text as product_ref,
    name as product_name,
    genre_id::text as category,
    unit_price::numeric as price,
    'USD' as currency
from raw.chinook__track
