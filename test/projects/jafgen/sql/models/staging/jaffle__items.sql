-- One row per item of an order, at the menu's price before tax.
-- contract: order_lines
select
    items.record_key,
    items.deleted_at,
    items.order_record_key,
    1 as line_number,
    items.sku as product_ref,
    1::numeric as quantity,
    coalesce(products.price, 0) / 100.0 as amount,
    'USD' as currency
from raw.jaffle__items as items
left join raw.jaffle__products as products on products.sku = items.sku
