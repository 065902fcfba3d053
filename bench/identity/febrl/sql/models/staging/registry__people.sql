-- One row per record of the registry.
-- contract: customers
select
    record_key,
    deleted_at,
    null::text as customer_ref,
    null::text as email_token,
    null::text as phone_token,
    null::text as country,
    null::integer as birth_year,
    null::timestamptz as registered_at,
    soc_sec_id as social_security_token,
    birth_names as birth_names_token,
    birth_given as birth_given_token,
    birth_surname as birth_surname_token,
    birth_place as birth_place_token,
    names_place as names_place_token
from raw.registry__people
