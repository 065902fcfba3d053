-- One row per line of an order, in the reporting currency; a line waits until its order is there.
-- key: order_line_id
-- follows: core.order_lines by order_line_id; mart.fct_orders by order_id; mart.dim_products by product_ref
-- follows: core.daily_rates by source_currency, order_date from currency, valid_on
-- foreign key: order_id -> mart.fct_orders
-- foreign key: customer_id -> core.people
-- foreign key: product_id -> mart.dim_products
-- not null: source, order_id, customer_id, line_number, ordered_at, order_date, quantity, currency
-- not null: source_amount, source_currency
-- column order_line_id: the line: its record_key
-- column source: the source that the line came from
-- column order_id: the order that it is a line of
-- column product_id: the product; null where no product of that reference is known
-- column amount: what the customer pays for the line, in the reporting currency
-- column source_amount: what the customer pays, as the source has it
-- column source_currency: currency of the source's amount, ISO 4217
select
    lines.record_key as order_line_id,
    lines.source,
    orders.order_id,
    orders.customer_id,
    lines.line_number,
    orders.ordered_at,
    orders.order_date,
    products.product_id,
    lines.product_ref,
    lines.quantity,
    case
        when lines.currency = orders.currency then lines.amount
        else lines.amount * rates.rate
    end as amount,
    orders.currency,
    lines.amount as source_amount,
    lines.currency as source_currency
from core.order_lines as lines
join mart.fct_orders as orders on orders.order_id = lines.order_record_key
left join mart.dim_products as products on products.product_ref = lines.product_ref
left join core.daily_rates as rates on rates.currency = lines.currency and rates.valid_on = orders.order_date
