-- One row per campaign as links name it: by source, medium and campaign.
-- key: campaign_id
-- foreign key: channel -> mart.dim_channels
-- not null: campaign, channel
-- column campaign_id: the campaign: the same source, medium and campaign always have the same id
-- column source: utm_source of its links
-- column medium: utm_medium of its links
-- column campaign: its name: utm_campaign of its links
-- column channel: the channel that it belongs to
select
    md5(concat_ws(E'\n', coalesce(sources.source, ''), coalesce(sources.medium, ''), sources.campaign))::uuid as campaign_id,
    sources.source,
    sources.medium,
    sources.campaign,
    min(sources.channel) as channel
from core.traffic_sources as sources
where sources.campaign is not null
group by sources.source, sources.medium, sources.campaign
