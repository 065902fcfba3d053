-- One row per customer: a person of whom at least an identifier is known.
-- key: customer_id
-- follows: core.people by customer_id; core.identifiers by customer_id; core.customer_records by customer_id
-- follows: mart.fct_orders by customer_id; mart.fct_events by customer_id; mart.fct_reviews by customer_id
-- foreign key: customer_id -> core.people
-- not null: is_anonymous, identifier_count
-- column customer_id: the customer: a random id that stays
-- column country: country of residence, from the latest registration that names one
-- column birth_year: year of birth, from the latest registration that names one
-- column registered_at: when the customer first registered with a source
-- column first_seen_at: when the customer first did something: an event, an order, a review, a registration
-- column last_seen_at: when the customer last did something
-- column identifier_count: how many identifiers are known to be the customer's
with registrations as (
    select
        records.customer_id,
        (array_agg(records.country order by records.registered_at desc nulls last, records.record_key)
            filter (where records.country is not null))[1] as country,
        (array_agg(records.birth_year order by records.registered_at desc nulls last, records.record_key)
            filter (where records.birth_year is not null))[1] as birth_year,
        min(records.registered_at) as registered_at,
        max(records.registered_at) as last_registered_at
    from core.customer_records as records
    group by records.customer_id
),
identifiers as (
    select customer_id, count(*) as identifier_count
    from core.identifiers
    group by customer_id
),
activity as (
    select customer_id, min(ordered_at) as first_at, max(ordered_at) as last_at from mart.fct_orders group by customer_id
    union all
    select customer_id, min(occurred_at), max(occurred_at) from mart.fct_events group by customer_id
    union all
    select customer_id, min(reviewed_at), max(reviewed_at) from mart.fct_reviews group by customer_id
    union all
    select customer_id, registered_at, last_registered_at from registrations
),
seen as (
    select customer_id, min(first_at) as first_seen_at, max(last_at) as last_seen_at
    from activity
    group by customer_id
)
select
    people.customer_id,
    people.is_anonymous,
    registrations.country,
    registrations.birth_year,
    registrations.registered_at,
    seen.first_seen_at,
    seen.last_seen_at,
    coalesce(identifiers.identifier_count, 0) as identifier_count
from core.people as people
left join registrations on registrations.customer_id = people.customer_id
left join identifiers on identifiers.customer_id = people.customer_id
left join seen on seen.customer_id = people.customer_id
where people.customer_id <> ops.nobody()
