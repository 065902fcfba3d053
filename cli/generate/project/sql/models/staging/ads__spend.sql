-- One row per day, platform and campaign, as the platform last stated it.
-- contract: ad_spend
select
    record_key,
    deleted_at,
    date                as spent_on,
    platform,
    campaign,
    utm_source,
    utm_medium,
    cost                as amount,
    currency,
    impressions::bigint as impressions,
    clicks::bigint      as clicks
from raw.ads__spend
