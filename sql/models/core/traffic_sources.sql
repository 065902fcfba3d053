-- One row per source, medium and campaign by which visits came, or on which money was spent, and its channel.
-- key: traffic_source_id
-- not null: channel
-- column traffic_source_id: the source, medium, campaign and host of the referrer as core.sessions has them
-- column source: what sent the visitor: as tagged, else the name of the referrer's site; null for a direct visit
-- column medium: the kind of link: as tagged, else organic, social, email or referral; null for a direct visit
-- column campaign: the campaign; null where none is tagged
-- column channel: the channel, by the first rule of core.channel_rules that fits
with seen as (
    select
        traffic_source_id,
        any_value(source) as source,
        any_value(medium) as medium,
        any_value(campaign) as campaign,
        regexp_replace(any_value(referrer_host), '^www\.', '') as referrer_host
    from core.sessions
    group by traffic_source_id
    union
    select distinct traffic_source_id, source, medium, campaign, null
    from core.ad_spend_sources
),
names as (
    select source as name from seen where source is not null
    union
    select referrer_host from seen where referrer_host is not null
),
-- Names that may stand for this one in the list of known sources, from the most to the least particular: itself, the
-- hosts above it, and the bare name of each: google for google.co.uk.
candidates as (
    select names.name, parts.candidate, levels.level as rank, false as is_bare_name_of_host_above
    from names
    cross join lateral regexp_replace(names.name, '^www\.', '') as host
    cross join lateral generate_series(1, greatest(1, array_length(string_to_array(host, '.'), 1) - 1)) as levels (level)
    cross join lateral array_to_string((string_to_array(host, '.'))[levels.level:], '.') as parts (candidate)
    union all
    select names.name, parts.brand[1], 100 + levels.level, levels.level > 1
    from names
    cross join lateral regexp_replace(names.name, '^www\.', '') as host
    cross join lateral generate_series(1, array_length(string_to_array(host, '.'), 1) - 1) as levels (level)
    cross join lateral regexp_match(
        array_to_string((string_to_array(host, '.'))[levels.level:], '.'),
        '^([^.]+)\.(?:(?:co|com|org|net|ne|or|go|ac|gov|edu)\.)?[a-z]+$'
    ) as parts (brand)
),
known as (
    select distinct on (candidates.name) candidates.name, categories.category, categories.name as source
    from candidates
    join core.source_categories as categories on categories.source = candidates.candidate
    -- A search engine's other hosts (docs.google.com) are no searches; anybody's host on a social network is social.
    where not (candidates.is_bare_name_of_host_above and categories.category = 'search')
    order by candidates.name, candidates.rank
),
named as (
    select
        seen.traffic_source_id,
        case
            when seen.referrer_host is null or own_hosts.host is not null then seen.source
            else coalesce(seen.source, referrers.source, seen.referrer_host)
        end as source,
        case
            when seen.referrer_host is null or own_hosts.host is not null then seen.medium
            when referrers.category = 'search' then 'organic'
            when referrers.category in ('social', 'email') then referrers.category
            else 'referral'
        end as medium,
        seen.campaign
    from seen
    left join core.own_hosts as own_hosts on own_hosts.host = seen.referrer_host
    left join known as referrers on referrers.name = seen.referrer_host
)
select
    named.traffic_source_id,
    named.source,
    named.medium,
    named.campaign,
    coalesce(rule.channel, 'Unassigned') as channel
from named
left join known on known.name = named.source
left join lateral (
    select rules.channel
    from core.channel_rules as rules
    where (rules.source_category is null or rules.source_category = known.category)
        and (rules.source_pattern is null or coalesce(named.source, '') ~ rules.source_pattern)
        and (rules.medium_pattern is null or coalesce(named.medium, '') ~ rules.medium_pattern)
        and (rules.campaign_pattern is null or lower(coalesce(named.campaign, '')) ~ rules.campaign_pattern)
    order by rules.position
    limit 1
) as rule on true
