-- One row per customer: a person of whom at least an identifier is known.
-- key: customer_id
-- follows: core.people by customer_id; core.identifiers by customer_id; core.customer_records by customer_id
-- follows: core.restricted_people by customer_id
-- follows: mart.fct_orders by customer_id; mart.fct_events by customer_id; mart.fct_reviews by customer_id
-- foreign key: customer_id -> core.people
-- not null: is_anonymous, identifier_count
-- column customer_id: the customer: a random id that stays
-- column country: country of residence, by the survivorship rule; without one from the latest registration that names one
-- column birth_year: year of birth, by the survivorship rule; without one from the latest registration that names one
-- column registered_at: when the customer first registered with a source
-- column first_seen_at: when the customer first did something: an event, an order, a review, a registration
-- column last_seen_at: when the customer last did something
-- column identifier_count: how many identifiers are known to be the customer's
with ranked as (
    select
        records.customer_id,
        records.record_key,
        records.country,
        records.birth_year,
        records.registered_at,
        array_position(country_rule.sources, records.source) as country_rank,
        array_position(birth_year_rule.sources, records.source) as birth_year_rank,
        case when country_rule.rule = 'most_frequent'
            then count(*) over (partition by records.customer_id, records.country) end as country_records,
        case when birth_year_rule.rule = 'most_frequent'
            then count(*) over (partition by records.customer_id, records.birth_year) end as birth_year_records
    from core.customer_records as records
    left join core.survivorship_rules as country_rule on country_rule.attribute = 'country'
    left join core.survivorship_rules as birth_year_rule on birth_year_rule.attribute = 'birth_year'
),
registrations as (
    select
        ranked.customer_id,
        (array_agg(ranked.country order by ranked.country_rank nulls last, ranked.country_records desc,
            ranked.registered_at desc nulls last, ranked.record_key)
            filter (where ranked.country is not null))[1] as country,
        (array_agg(ranked.birth_year order by ranked.birth_year_rank nulls last, ranked.birth_year_records desc,
            ranked.registered_at desc nulls last, ranked.record_key)
            filter (where ranked.birth_year is not null))[1] as birth_year,
        min(ranked.registered_at) as registered_at,
        max(ranked.registered_at) as last_registered_at
    from ranked
    group by ranked.customer_id
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
    and people.customer_id not in (select restricted.customer_id from core.restricted_people as restricted)
