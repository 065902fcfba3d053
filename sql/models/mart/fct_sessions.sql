-- One row per session: what a visitor did without 30 minutes of silence and without coming back by a new campaign.
-- key: session_id
-- follows: core.sessions by session_id; core.traffic_sources by traffic_source_id; mart.dim_campaigns by campaign_id
-- follows: core.record_owners by identifying_event_id from record_key
-- follows: core.restricted_records by identifying_event_id from record_key
-- foreign key: customer_id -> core.people
-- foreign key: channel -> mart.dim_channels
-- foreign key: campaign_id -> mart.dim_campaigns
-- not null: customer_id, identifying_event_id, started_at, ended_at, session_date, event_count, channel
-- column identifying_event_id: the event that tells whose session it is: the last that names the person, else the last
-- column customer_id: who last made themselves known in it; ops.nobody() where nobody did
-- column session_date: the day on which it started, in the project's time zone
-- column channel: the channel by which the visitor came
-- column traffic_source_id: what led to it, told apart in core.traffic_sources
-- column campaign_id: the campaign by which the visitor came; null where none is named
select
    sessions.session_id,
    coalesce(owners.customer_id, ops.nobody()) as customer_id,
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
    sessions.traffic_source_id,
    sessions.identifying_event_id
from core.sessions as sessions
join core.traffic_sources as sources on sources.traffic_source_id = sessions.traffic_source_id
left join core.record_owners as owners
    on owners.record_key = sessions.identifying_event_id
    and owners.record_key not in (select restricted.record_key from core.restricted_records as restricted)
left join mart.dim_campaigns as campaigns
    on campaigns.campaign = sources.campaign
    and coalesce(campaigns.source, '') = coalesce(sources.source, '')
    and coalesce(campaigns.medium, '') = coalesce(sources.medium, '')
