-- One row per day, platform and campaign of paid advertising: what its clicks say of where they come from.
-- key: ad_spend_id
-- follows: core.ad_spend by ad_spend_id
-- not null: traffic_source_id
-- column ad_spend_id: the day's spending: its record_key
-- column traffic_source_id: where its clicks come from, told apart in core.traffic_sources
-- column source: utm_source that its links carry, else the platform's name without "ads"
-- column medium: utm_medium that its links carry, else cpc: spending is for paid visits
-- column campaign: the campaign
with tagged as (
    select
        spend.record_key as ad_spend_id,
        coalesce(
            nullif(lower(btrim(spend.utm_source)), ''),
            regexp_replace(lower(btrim(spend.platform)), '[-_ ]*ads?$', '')
        ) as source,
        coalesce(nullif(lower(btrim(spend.utm_medium)), ''), 'cpc') as medium,
        nullif(btrim(spend.campaign), '') as campaign
    from core.ad_spend as spend
)
select
    ad_spend_id,
    md5(concat_ws(E'\n', coalesce(source, ''), coalesce(medium, ''), coalesce(campaign, ''), ''))::uuid as traffic_source_id,
    source,
    medium,
    campaign
from tagged
