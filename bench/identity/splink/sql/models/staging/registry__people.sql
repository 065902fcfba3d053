-- One row per record of the registry.
-- contract: customers
select
    record_key,
    deleted_at,
    null::text as customer_ref,
    email as email_token,
    null::text as phone_token,
    null::text as country,
    null::integer as birth_year,
    null::timestamptz as registered_at,
    birth_given as birth_given_token,
    birth_surname as birth_surname_token,
    birth_mailbox as birth_mailbox_token,
    birth_city as birth_city_token,
    names as names_token,
    names_city as names_city_token
from raw.registry__people
