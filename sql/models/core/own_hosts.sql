-- One row per host that is the project's own: a visit from there to here came from nowhere else.
-- They are known by the visits themselves: a host on which one visit in a thousand lands, and that is no known source.
-- key: host
-- column host: the host, in lower case and without www.
-- column session_count: how many sessions landed there
with landings as (
    select
        regexp_replace(lower(split_part(split_part(sessions.landing_page, '/', 3), ':', 1)), '^www\.', '') as host,
        count(*) as session_count
    from core.sessions as sessions
    group by 1
)
select landings.host, landings.session_count
from landings
where landings.host <> ''
    and landings.session_count * 1000 >= (select sum(others.session_count) from landings as others where others.host <> '')
    and not exists (
        select from core.source_categories as categories
        where categories.source in (landings.host, split_part(landings.host, '.', 1))
    )
