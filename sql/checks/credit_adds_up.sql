-- In every attribution model the touchpoints of an order share it whole: parts of 1, and of its amount to the cent.
-- severity: error
-- follows: mart.fct_orders by order_id; mart.fct_attribution by order_id

-- One row per order, since grouping and joining by order and model takes twice as long.
with credited as (
    select
        order_id,
        array[
            sum(amount) filter (where model = 'first'),
            sum(amount) filter (where model = 'last'),
            sum(amount) filter (where model = 'last_non_direct'),
            sum(amount) filter (where model = 'linear'),
            sum(amount) filter (where model = 'position_based'),
            sum(amount) filter (where model = 'time_decay')
        ] as amounts,
        array[
            sum(share) filter (where model = 'first'),
            sum(share) filter (where model = 'last'),
            sum(share) filter (where model = 'last_non_direct'),
            sum(share) filter (where model = 'linear'),
            sum(share) filter (where model = 'position_based'),
            sum(share) filter (where model = 'time_decay')
        ] as shares
    from mart.fct_attribution
    group by order_id
)
select orders.order_id, orders.amount, credited.amounts, credited.shares
from mart.fct_orders as orders
left join credited on credited.order_id = orders.order_id
where credited.amounts is distinct from array_fill(orders.amount, array[6])
    or credited.shares is distinct from array_fill(1::numeric, array[6])
