-- One row per session: what a visitor did without 30 minutes of silence and without coming back by a new campaign.
-- A visitor is a device, or the customer where the source knows no devices. A source that parts sessions itself says so
-- by `session_id` in the event's properties, and is believed.
-- key: session_id
-- not null: customer_id, started_at, ended_at, event_count, traffic_source_id
-- column session_id: the session: the event_id of its first event
-- column customer_id: who last made themselves known in it; ops.nobody() where nobody did
-- column started_at: when its first event happened
-- column ended_at: when its last event happened
-- column event_count: how many events it has
-- column landing_page: address of the first page
-- column referrer: address of the page that led to it
-- column traffic_source_id: what led to the session, told apart in core.traffic_sources
-- column source: utm_source of the link that led to it, or what its click id stands for
-- column medium: utm_medium of the link that led to it, or what its click id stands for
-- column campaign: utm_campaign of the link that led to it
-- column referrer_host: host of the referrer, where neither tag nor click id names source or medium
with addressed as (
    select
        events.record_key as event_id,
        events.occurred_at,
        nullif(owners.customer_id, ops.nobody()) as customer_id,
        events.source as origin,
        events.device_token,
        events.properties ->> 'session_id' as known_session,
        events.page_url,
        events.referrer,
        events.page_url is not null or events.referrer is not null as has_page,
        split_part(events.referrer, '/', 3) <> split_part(events.page_url, '/', 3) as is_from_elsewhere,
        coalesce(events.utm_source, events.utm_medium, events.utm_campaign) is not null as has_tags,
        events.utm_source,
        events.utm_medium,
        events.utm_campaign,
        case when events.page_url like '%?%' then split_part(events.page_url, '#', 1) end as address
    from core.events as events
    left join core.record_owners as owners on owners.record_key = events.record_key
),
-- Tags are the source's own columns, else those of the page's address. Cutting it up by fixed strings takes a tenth of
-- the time of a regular expression that captures.
tagged as (
    select
        event_id,
        occurred_at,
        customer_id,
        known_session is not null as is_known,
        case
            when known_session is not null
                then md5(concat_ws(' ', origin, known_session, coalesce(customer_id::text, device_token)))::uuid
            when device_token is not null then md5(device_token)::uuid
            else customer_id
        end as visitor_id,
        page_url,
        referrer,
        has_page,
        is_from_elsewhere,
        lower(btrim(case when has_tags then utm_source else split_part(split_part(address, 'utm_source=', 2), '&', 1) end)) as source,
        lower(btrim(case when has_tags then utm_medium else split_part(split_part(address, 'utm_medium=', 2), '&', 1) end)) as medium,
        btrim(case when has_tags then utm_campaign else split_part(split_part(address, 'utm_campaign=', 2), '&', 1) end) as campaign,
        address
    from addressed
    -- Keeps the expressions above from being computed again wherever they are used below.
    offset 0
),
clicked as (
    select
        event_id,
        occurred_at,
        customer_id,
        visitor_id,
        is_known,
        page_url,
        referrer,
        has_page,
        is_from_elsewhere,
        nullif(source, '') as source,
        nullif(medium, '') as medium,
        nullif(campaign, '') as campaign,
        case
            when address is not null and (source is null or source = '' or medium is null or medium = '')
                then (
                    select min(click_ids.parameter)
                    from core.click_ids as click_ids
                    where strpos(translate(tagged.address, '?', '&'), '&' || click_ids.parameter || '=') > 0
                )
        end as click_id
    from tagged
    where visitor_id is not null
),
-- Events in order. Of those at the same instant the one that came from elsewhere was first: clocks may be as coarse as
-- a second, and a page inside names its own site as where it came from.
ordered as (
    select
        event_id,
        visitor_id,
        is_known,
        occurred_at,
        customer_id,
        page_url,
        referrer,
        has_page,
        source,
        medium,
        campaign,
        click_id,
        coalesce(source, medium, campaign, click_id) is not null as is_tagged,
        lag(occurred_at) over visitor as previous_at,
        lag(customer_id) over visitor as previous_customer_id,
        lag(has_page) over visitor as previous_has_page,
        lead(occurred_at) over visitor is null as is_last,
        row_number() over visitor as position
    from clicked
    window visitor as (
        partition by visitor_id
        order by occurred_at, coalesce(source, medium, campaign, click_id) is null, is_from_elsewhere is not true, event_id
    )
),
-- The few events that can say something about a session: all else is counting.
telling as (
    select
        *,
        previous_at is null or (not is_known and occurred_at - previous_at > interval '30 minutes') as is_after_silence
    from ordered
    where previous_at is null
        or occurred_at - previous_at > interval '30 minutes'
        or is_last
        or is_tagged
        or customer_id is distinct from previous_customer_id
        or has_page <> previous_has_page
),
started as (
    select
        *,
        is_after_silence
        or (
            is_tagged
            and not is_known
            and (source, medium, campaign, click_id) is distinct from (
                lag(source) over breaks, lag(medium) over breaks, lag(campaign) over breaks, lag(click_id) over breaks
            )
        ) as is_start
    from telling
    window breaks as (partition by visitor_id, is_after_silence or is_tagged order by position)
),
placed as (
    select *, max(position) filter (where is_start) over (partition by visitor_id order by position) as first_position
    from started
),
-- What led to a session is said by its first tagged event, else by its first page.
ranked as (
    select
        *,
        row_number() over (
            partition by visitor_id, first_position order by is_tagged desc, has_page desc, position
        ) as arrival_rank
    from placed
),
grouped as (
    select
        visitor_id,
        first_position,
        any_value(event_id) filter (where is_start) as session_id,
        min(occurred_at) as started_at,
        any_value(previous_at) filter (where is_start) as previous_ended_at,
        max(position) as last_position,
        max(occurred_at) as last_at,
        (array_agg(customer_id order by position desc) filter (where customer_id is not null))[1] as customer_id,
        any_value(page_url) filter (where arrival_rank = 1) as landing_page,
        any_value(referrer) filter (where arrival_rank = 1) as referrer,
        any_value(source) filter (where arrival_rank = 1) as source,
        any_value(medium) filter (where arrival_rank = 1) as medium,
        any_value(campaign) filter (where arrival_rank = 1) as campaign,
        any_value(click_id) filter (where arrival_rank = 1) as click_id
    from ranked
    group by visitor_id, first_position
),
-- A session ends with the event before the visitor's next one.
ended as (
    select
        *,
        coalesce(lead(first_position) over visitor, last_position + 1) - first_position as event_count,
        coalesce(lead(previous_ended_at) over visitor, last_at) as ended_at
    from grouped
    window visitor as (partition by visitor_id order by first_position)
),
described as (
    select
        ended.session_id,
        coalesce(ended.customer_id, ops.nobody()) as customer_id,
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
                and split_part(ended.referrer, '/', 3) is distinct from split_part(ended.landing_page, '/', 3)
                then nullif(lower(split_part(split_part(split_part(ended.referrer, '/', 3), '@', -1), ':', 1)), '')
        end as referrer_host
    from ended
    left join core.click_ids as click_ids on click_ids.parameter = ended.click_id
)
select
    session_id,
    customer_id,
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
