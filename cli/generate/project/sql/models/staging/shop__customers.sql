-- One row per account of the shop, as the shop knows its owner.
-- contract: customers
select
    record_key,
    deleted_at,
    id                       as customer_ref,
    email                    as email_token,
    phone                    as phone_token,
    country,
    birth_date_year::integer as birth_year,
    created_at               as registered_at
from raw.shop__customers
