-- One row per event: something that a customer or visitor did.
-- key: event_id
-- follows: core.events by event_id; core.record_owners by event_id from record_key; mart.dim_products by product_ref
-- follows: core.restricted_records by event_id from record_key
-- foreign key: customer_id -> core.people
-- foreign key: product_id -> mart.dim_products
-- not null: source, customer_id, name, occurred_at, event_date
-- column event_id: the event: its record_key
-- column source: the source that the event came from
-- column customer_id: who did it; ops.nobody() where that is not known
-- column event_date: the day of the event in the project's time zone
-- column product_id: the product it is about; null where none is or no product of that reference is known
select
    events.record_key as event_id,
    events.source,
    coalesce(owners.customer_id, ops.nobody()) as customer_id,
    events.name,
    events.occurred_at,
    (events.occurred_at at time zone (select ops.time_zone()))::date as event_date,
    events.page_url,
    events.referrer,
    events.utm_source,
    events.utm_medium,
    events.utm_campaign,
    products.product_id,
    events.product_ref,
    events.properties
from core.events as events
left join core.record_owners as owners
    on owners.record_key = events.record_key
    and owners.record_key not in (select restricted.record_key from core.restricted_records as restricted)
left join mart.dim_products as products on products.product_ref = events.product_ref
