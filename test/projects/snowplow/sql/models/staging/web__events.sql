-- One row per event of a session of pages, by the tracker's own rules: a session has an id and a page, is counted for at
-- most 3 days, and takes no event that its device kept for more than 3 days.
-- contract: events
with events as (
    select
        events.*,
        events.event_name in ('page_view', 'page_ping') as is_page,
        events.contexts_com_snowplowanalytics_snowplow_web_page_1_0_0::jsonb -> 0 ->> 'id' as page_view_id
    from raw.web__events as events
    where events.domain_sessionid is not null
        and (events.dvce_sent_tstamp - events.dvce_created_tstamp <= interval '72 hours') is not false
),
spans as (
    select
        *,
        bool_or(is_page and page_view_id is not null) over session as has_page,
        min(collector_tstamp) over session as first_collected_at
    from events
    window session as (partition by domain_sessionid)
),
-- A ping of a page that has been silent is of a session of its own: somebody is back on a page left open.
pings as (
    select
        *,
        event_name = 'page_ping'
        and derived_tstamp - lag(derived_tstamp) over (partition by domain_sessionid order by derived_tstamp, event_id)
            > interval '30 minutes' as is_stray
    from spans
    where has_page and collector_tstamp <= first_collected_at + interval '72 hours'
),
parted as (
    select *, count(*) filter (where is_stray) over (partition by domain_sessionid order by derived_tstamp, event_id) as part
    from pings
)
select
    record_key,
    deleted_at,
    event_name as name,
    derived_tstamp as occurred_at,
    domain_userid as device_token,
    domain_sessionid as session_token,
    null::text as customer_ref,
    null::text as email_token,
    page_url,
    page_referrer as referrer,
    mkt_source as utm_source,
    mkt_medium as utm_medium,
    mkt_campaign as utm_campaign,
    null::text as product_ref,
    jsonb_build_object(
        'session_id', domain_sessionid || ' ' || part,
        'page_view_id', case when is_page then page_view_id end
    ) as properties
from parted
