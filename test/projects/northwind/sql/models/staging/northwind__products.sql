-- One row per product.
-- contract: products
select
    record_key,
    deleted_at,
    product_id::text as product_ref,
    product_name,
    category_id::text as category,
    unit_price as price,
    'USD' as currency
from raw.northwind__products
