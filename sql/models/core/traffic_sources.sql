-- One row per source, medium and campaign by which visits came, or on which money was spent, and its channel.
-- key: traffic_source_id
-- not null: channel
-- column traffic_source_id: the source, medium, campaign and host of the referrer as core.sessions has them
-- column source: what sent the visitor: as tagged, else the name of the referrer's site; null for a direct visit
-- column medium: the kind of link: as tagged, else organic, social, email or referral; null for a direct visit
-- column campaign: the campaign; null where none is tagged
-- column channel: the channel, by the first rule of core.channel_rules that fits
with told as (
    select distinct traffic_source_id, source, medium, campaign, regexp_replace(referrer_host, '^www\.', '') as referrer_host
    from core.sessions
    union
    select traffic_source_id, source, medium, campaign, null
    from core.ad_spend_sources
),
-- Coming from one's own pages is coming from nowhere.
seen as (
    select
        told.traffic_source_id,
        told.source,
        told.medium,
        told.campaign,
        case when own_hosts.host is null then told.referrer_host end as referrer_host
    from told
    left join core.own_hosts as own_hosts on own_hosts.host = told.referrer_host
),
-- No host is longer than 253 characters.
names as (
    select source as name from seen where length(source) <= 253
    union
    select referrer_host from seen where length(referrer_host) <= 253
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
        coalesce(seen.source, referrers.source, seen.referrer_host) as source,
        coalesce(
            seen.medium,
            case
                when referrers.category = 'search' then 'organic'
                when referrers.category in ('social', 'email') then referrers.category
                when seen.referrer_host is not null then 'referral'
            end
        ) as medium,
        seen.campaign,
        coalesce(tagged.category, referrers.category) as category
    from seen
    left join known as tagged on tagged.name = seen.source
    left join known as referrers on referrers.name = seen.referrer_host
)
select
    named.traffic_source_id,
    named.source,
    named.medium,
    named.campaign,
    coalesce(rule.channel, 'Unassigned') as channel
from named
left join lateral (
    select rules.channel
    from core.channel_rules as rules
    where (rules.source_category is null or rules.source_category = named.category)
        and (rules.source_pattern is null or coalesce(named.source, '') ~ rules.source_pattern)
        and (rules.medium_pattern is null or coalesce(named.medium, '') ~ rules.medium_pattern)
        and (rules.campaign_pattern is null or lower(coalesce(named.campaign, '')) ~ rules.campaign_pattern)
    order by rules.position
    limit 1
) as rule on true
