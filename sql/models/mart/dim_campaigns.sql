-- One row per campaign as links name it: by source, medium and campaign.
-- key: campaign_id
-- foreign key: channel -> mart.dim_channels
-- not null: campaign, channel
-- column campaign_id: the campaign: the same source, medium and campaign always have the same id
-- column source: utm_source of its links
-- column medium: utm_medium of its links
-- column campaign: its name: utm_campaign of its links
-- column channel: the channel that it belongs to
with named as (
    select sources.source, sources.medium, sources.campaign, sources.channel as channel, null as kept_channel
    from core.traffic_sources as sources
    where sources.campaign is not null
    union all
    -- Nobody who came by these is known any more.
    select kept.source, kept.medium, kept.campaign, null, kept.channel
    from core.kept_campaigns as kept
)
select
    md5(concat_ws(E'\n', coalesce(named.source, ''), coalesce(named.medium, ''), named.campaign))::uuid as campaign_id,
    named.source,
    named.medium,
    named.campaign,
    coalesce(min(named.channel), min(named.kept_channel)) as channel
from named
group by named.source, named.medium, named.campaign
