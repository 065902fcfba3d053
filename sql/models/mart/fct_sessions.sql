-- One row per session: what a visitor did without 30 minutes of silence and without coming back by a new campaign.
-- key: session_id
-- follows: core.sessions by session_id; core.traffic_sources by traffic_source_id; mart.dim_campaigns by campaign_id
-- foreign key: customer_id -> core.people
-- foreign key: channel -> mart.dim_channels
-- foreign key: campaign_id -> mart.dim_campaigns
-- not null: customer_id, started_at, ended_at, session_date, event_count, channel
-- column session_date: the day on which it started, in the project's time zone
-- column channel: the channel by which the visitor came
-- column traffic_source_id: what led to it, told apart in core.traffic_sources
-- column campaign_id: the campaign by which the visitor came; null where none is named
select
    sessions.session_id,
    sessions.customer_id,
    sessions.started_at,
    sessions.ended_at,
    (sessions.started_at at time zone (select ops.time_zone()))::date as session_date,
    sessions.event_count,
    sources.channel,
    sources.source,
    sources.medium,
    sources.campaign,
    campaigns.campaign_id,
    sessions.landing_page,
    sessions.referrer,
    sessions.traffic_source_id
from core.sessions as sessions
join core.traffic_sources as sources on sources.traffic_source_id = sessions.traffic_source_id
left join mart.dim_campaigns as campaigns
    on campaigns.campaign = sources.campaign
    and coalesce(campaigns.source, '') = coalesce(sources.source, '')
    and coalesce(campaigns.medium, '') = coalesce(sources.medium, '')
