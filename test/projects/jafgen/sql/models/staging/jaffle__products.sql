-- One row per product on the menu.
-- contract: products
select
    record_key,
    deleted_at,
    sku as product_ref,
    name as product_name,
    type as category,
    price / 100.0 as price,
    'USD' as currency
from raw.jaffle__products
