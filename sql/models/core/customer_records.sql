-- One row per record of a customer that belongs to a known person.
-- key: record_key
-- follows: core.customers by record_key; core.record_owners by record_key
-- follows: core.restricted_records by record_key
-- not null: customer_id
-- column record_key: the record
-- column customer_id: the person that it belongs to
select
    customers.record_key,
    owners.customer_id,
    customers.source,
    customers.country,
    customers.birth_year,
    customers.registered_at
from core.customers as customers
join core.record_owners as owners on owners.record_key = customers.record_key
where owners.record_key not in (select restricted.record_key from core.restricted_records as restricted)
