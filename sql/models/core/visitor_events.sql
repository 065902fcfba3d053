-- One row per event of a visitor, with what it tells of where the visitor came from.
-- A visitor is a device, or what names the person where the source knows no devices. A source that parts sessions itself
-- says so by `session_id` in the event's properties, and is believed: each of them is a visitor here. One of 32 characters
-- or more (a UUID, a hash) stands for itself; a shorter one (a time, a count) is known to be the same on one device alone.
-- Who that is stays open: no change of identity moves a session.
-- key: event_id
-- follows: core.events by event_id from record_key
-- not null: visitor_id, occurred_at, is_known, is_named, is_untagged, is_inside, has_page
-- column event_id: the event: its record_key
-- column visitor_id: the visitor
-- column occurred_at: when it happened
-- column is_known: whether its source parts sessions itself
-- column is_named: whether it names the person: by customer number, e-mail address or phone number
-- column is_untagged: whether nothing names what led to it: neither a tag nor a click id
-- column is_inside: whether it has no referrer, or one of the page's own host
-- column has_page: whether it has an address or a referrer at all
-- column page_url: address of the page
-- column referrer: address of the page that led there; null where that has the same host
-- column source: utm_source, in lower case
-- column medium: utm_medium, in lower case
-- column campaign: utm_campaign
-- column click_id: parameter of the click id in the address, where source or medium is not tagged
with addressed as (
    select
        events.record_key as event_id,
        events.occurred_at,
        events.source as origin,
        events.device_token,
        coalesce(events.customer_ref, events.email_token, events.phone_token) as person,
        events.properties ->> 'session_id' as known_session,
        events.page_url,
        events.referrer,
        coalesce(nullif(events.utm_source, ''), nullif(events.utm_medium, ''), nullif(events.utm_campaign, '')) is not null
            as has_tags,
        events.utm_source,
        events.utm_medium,
        events.utm_campaign,
        case
            when events.page_url like '%?%'
                then replace(replace(split_part(events.page_url, '#', 1), '+', ' '), '%20', ' ')
        end as address
    from core.events as events
),
-- Tags are the source's own columns, else those of the page's address. Cutting it up by fixed strings takes a tenth of
-- the time of a regular expression that captures.
tagged as (
    select
        event_id,
        occurred_at,
        known_session is not null as is_known,
        person is not null as is_named,
        case
            when known_session is not null
                then md5(concat_ws(' ', origin, known_session, case when length(known_session) < 32 then coalesce(device_token, person) end))::uuid
            else md5(coalesce(device_token, person))::uuid
        end as visitor_id,
        page_url,
        case when split_part(referrer, '/', 3) is distinct from split_part(page_url, '/', 3) then referrer end as referrer,
        page_url is not null or referrer is not null as has_page,
        nullif(lower(btrim(case when has_tags then utm_source else split_part(split_part(address, 'utm_source=', 2), '&', 1) end)), '') as source,
        nullif(lower(btrim(case when has_tags then utm_medium else split_part(split_part(address, 'utm_medium=', 2), '&', 1) end)), '') as medium,
        nullif(btrim(case when has_tags then utm_campaign else split_part(split_part(address, 'utm_campaign=', 2), '&', 1) end), '') as campaign,
        address
    from addressed
    -- Keeps the expressions above from being computed again wherever they are used below.
    offset 0
),
clicked as (
    select
        *,
        case
            when address is not null and (source is null or medium is null)
                then (
                    select min(click_ids.parameter)
                    from core.click_ids as click_ids
                    where strpos(translate(tagged.address, '?', '&'), '&' || click_ids.parameter || '=') > 0
                )
        end as click_id
    from tagged
    where visitor_id is not null
    offset 0
)
select
    event_id,
    visitor_id,
    occurred_at,
    is_known,
    is_named,
    coalesce(source, medium, campaign, click_id) is null as is_untagged,
    nullif(referrer, '') is null as is_inside,
    has_page,
    page_url,
    referrer,
    source,
    medium,
    campaign,
    click_id
from clicked
