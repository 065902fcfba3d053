-- One row per time that somebody joined or left the newsletter.
-- contract: consents
select
    record_key,
    deleted_at,
    null::text                                     as customer_ref,
    email                                          as email_token,
    purpose,
    action = 'subscribed'                          as is_granted,
    occurred_at,
    case country when 'GB' then 'UK' else 'EU' end as jurisdiction
from raw.newsletter__consents
