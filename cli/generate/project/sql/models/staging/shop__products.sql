-- One row per article of the shop's catalogue.
-- contract: products
select
    record_key,
    deleted_at,
    sku  as product_ref,
    name as product_name,
    category,
    price,
    currency
from raw.shop__products
