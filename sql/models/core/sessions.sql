-- One row per session: what a visitor did without 30 minutes of silence and without coming back by a new campaign.
-- key: session_id
-- follows: core.visitor_events by visitor_id
-- not null: visitor_id, identifying_event_id, started_at, ended_at, event_count, traffic_source_id
-- column session_id: the session: the event_id of its first event
-- column visitor_id: the visitor, told apart in core.visitor_events
-- column identifying_event_id: the event that tells whose it is: the last that names the person, else the last
-- column started_at: when its first event happened
-- column ended_at: when its last event happened
-- column event_count: how many events it has
-- column landing_page: address of the first page
-- column referrer: address of the page elsewhere that led to it; null where that has the same host
-- column traffic_source_id: what led to the session, told apart in core.traffic_sources
-- column source: utm_source of the link that led to it, or what its click id stands for
-- column medium: utm_medium of the link that led to it, or what its click id stands for
-- column campaign: utm_campaign of the link that led to it
-- column referrer_host: host of the referrer, where neither tag nor click id names source or medium

-- Events in order. Of those at the same instant the one that came from elsewhere was first: clocks may be as coarse as
-- a second, and a page inside names its own site as where it came from. All windows below name this same order, so the
-- million events are sorted once.
with ordered as (
    select
        event_id,
        visitor_id,
        is_known,
        is_named,
        occurred_at,
        is_untagged,
        is_inside,
        page_url,
        referrer,
        has_page,
        source,
        medium,
        campaign,
        click_id,
        lag(occurred_at) over visitor as previous_at,
        lag(event_id) over visitor as previous_event_id,
        lag(is_named) over visitor as is_previous_named,
        lag(has_page) over visitor as previous_has_page,
        lead(is_named) over visitor as is_next_named,
        row_number() over visitor as position
    from core.visitor_events
    window visitor as (partition by visitor_id order by occurred_at, is_untagged, is_inside, event_id)
),
-- The few events that can say something about a session: all else is counting.
telling as (
    select
        *,
        previous_at is null or (not is_known and occurred_at - previous_at > interval '30 minutes') as is_after_silence,
        case
            when previous_at is null or occurred_at - previous_at > interval '30 minutes' or not is_untagged
                then lpad(position::text, 10, '0') || concat_ws(E'\n', coalesce(source, ''), coalesce(medium, ''), coalesce(campaign, ''), click_id)
        end as campaign_at
    from ordered
    where previous_at is null
        or occurred_at - previous_at > interval '30 minutes'
        or is_next_named is null
        or (is_named and not is_next_named)
        or not is_untagged
        or has_page <> previous_has_page
),
-- The greatest campaign_at so far is the last one, as each begins with its event's place.
started as (
    select
        *,
        is_after_silence
        or (
            not is_untagged
            and not is_known
            and substr(campaign_at, 11) is distinct from substr(
                max(campaign_at) over (visitor rows between unbounded preceding and 1 preceding), 11
            )
        ) as is_start
    from telling
    window visitor as (partition by visitor_id order by occurred_at, is_untagged, is_inside, event_id)
),
placed as (
    select
        *,
        max(position) filter (where is_start) over (
            partition by visitor_id order by occurred_at, is_untagged, is_inside, event_id
        ) as first_position
    from started
),
grouped as (
    select
        visitor_id,
        first_position,
        any_value(event_id) filter (where is_start) as session_id,
        min(occurred_at) as started_at,
        any_value(previous_at) filter (where is_start) as previous_ended_at,
        any_value(previous_event_id) filter (where is_start) as previous_event_id,
        any_value(is_previous_named) filter (where is_start) as is_previous_named,
        max(position) as last_position,
        max(occurred_at) as last_at,
        any_value(event_id) filter (where is_next_named is null) as last_event_id,
        any_value(is_named) filter (where is_next_named is null) as is_last_named,
        array_agg(event_id order by position) filter (where is_named and not is_next_named) as named_event_ids,
        array_agg(source order by position) filter (where not is_untagged) as sources,
        array_agg(medium order by position) filter (where not is_untagged) as media,
        array_agg(campaign order by position) filter (where not is_untagged) as campaigns,
        array_agg(click_id order by position) filter (where not is_untagged) as click_ids,
        array_agg(page_url order by position) filter (where has_page) as page_urls,
        array_agg(referrer order by position) filter (where has_page) as referrers
    from placed
    group by visitor_id, first_position
),
-- A session ends with the event before the visitor's next one.
ended as (
    select
        session_id,
        visitor_id,
        case
            when coalesce(lead(is_previous_named) over visitor, is_last_named) then null
            else named_event_ids[cardinality(named_event_ids)]
        end as named_event_id,
        coalesce(lead(previous_event_id) over visitor, last_event_id) as last_event_id,
        started_at,
        coalesce(lead(previous_ended_at) over visitor, last_at) as ended_at,
        coalesce(lead(first_position) over visitor, last_position + 1) - first_position as event_count,
        page_urls[1] as landing_page,
        nullif(referrers[1], '') as referrer,
        sources[1] as source,
        media[1] as medium,
        campaigns[1] as campaign,
        click_ids[1] as click_id
    from grouped
    window visitor as (partition by visitor_id order by first_position)
),
described as (
    select
        ended.session_id,
        ended.visitor_id,
        coalesce(ended.named_event_id, ended.last_event_id) as identifying_event_id,
        ended.started_at,
        ended.ended_at,
        ended.event_count,
        ended.landing_page,
        ended.referrer,
        coalesce(ended.source, click_ids.source) as source,
        coalesce(ended.medium, click_ids.medium) as medium,
        ended.campaign,
        case
            when coalesce(ended.source, ended.medium, ended.click_id) is null
                then nullif(lower(split_part(split_part(split_part(ended.referrer, '/', 3), '@', -1), ':', 1)), '')
        end as referrer_host
    from ended
    left join core.click_ids as click_ids on click_ids.parameter = ended.click_id
    offset 0
)
select
    session_id,
    visitor_id,
    identifying_event_id,
    started_at,
    ended_at,
    event_count,
    landing_page,
    referrer,
    md5(concat_ws(E'\n', coalesce(source, ''), coalesce(medium, ''), coalesce(campaign, ''), coalesce(referrer_host, '')))::uuid as traffic_source_id,
    source,
    medium,
    campaign,
    referrer_host
from described
