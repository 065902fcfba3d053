-- One row per customer of the jaffle shop.
-- contract: customers
select
    record_key,
    deleted_at,
    id as customer_ref,
    null::text as email_token,
    null::text as phone_token,
    null::text as country,
    null::integer as birth_year,
    null::timestamptz as registered_at
from raw.jaffle__customers
