-- One row per product, by the reference that all sources use for it.
-- key: product_id
-- not null: product_ref, product_name
-- column product_id: the product: the record_key of the record that is shown
-- column source: the source of the record that is shown
select distinct on (products.product_ref)
    products.record_key as product_id,
    products.product_ref,
    products.product_name,
    products.category,
    products.price,
    products.currency,
    products.source
from core.products as products
-- Where several sources know a product, one and the same of them speaks for it.
order by products.product_ref, products.source, products.record_key
