-- One row per customer.
-- contract: customers
select
    record_key,
    deleted_at,
    id as customer_ref,
    email as email_token,
    null::text as phone_token,
    country,
    null::integer as birth_year,
    null::timestamptz as registered_at
from raw.shop__customers
