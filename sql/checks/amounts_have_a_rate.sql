-- Every amount in a foreign currency has a rate into the reporting currency.
-- severity: error
-- follows: mart.fct_orders by record_key from order_id; mart.fct_order_lines by record_key from order_line_id
-- follows: mart.fct_ad_spend by record_key from ad_spend_id
select 'fct_orders' as relation, order_id as record_key, source_currency from mart.fct_orders where amount is null
union all
select 'fct_order_lines', order_line_id, source_currency from mart.fct_order_lines where amount is null
union all
select 'fct_ad_spend', ad_spend_id, source_currency from mart.fct_ad_spend where amount is null
