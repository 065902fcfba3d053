-- One row per channel: a way by which visitors come.
-- key: channel
-- not null: is_paid, description
-- column channel: its name, as core.channel_rules gives it
-- column is_paid: whether somebody is paid for the visit
-- column description: what brings a visit into it
with channels as (
    select rules.channel, bool_or(rules.is_paid) as is_paid
    from core.channel_rules as rules
    group by rules.channel
    union
    select 'Unassigned', false
    where not exists (select from core.channel_rules as rules where rules.channel = 'Unassigned')
),
descriptions (channel, description) as (
    values
    ('Direct', 'Came without link, tag or click id: typed the address, used a bookmark, or nobody knows'),
    ('Cross-network', 'Clicked an advertisement of a campaign that runs on several networks at once'),
    ('Paid Shopping', 'Clicked a paid listing on a shopping site, or an advertisement of a shopping campaign'),
    ('Paid Search', 'Clicked an advertisement beside search results'),
    ('Paid Social', 'Clicked an advertisement on a social network'),
    ('Paid Video', 'Clicked an advertisement on a video site'),
    ('Display', 'Clicked a banner or another display advertisement'),
    ('Paid Other', 'Clicked an advertisement somewhere else'),
    ('Organic Shopping', 'Followed an unpaid link on a shopping site'),
    ('Organic Social', 'Followed an unpaid link on a social network'),
    ('Organic Video', 'Followed an unpaid link on a video site'),
    ('Organic Search', 'Clicked an unpaid search result'),
    ('Referral', 'Followed a link on another site'),
    ('Email', 'Followed a link in an e-mail'),
    ('Affiliates', 'Followed a link of somebody who is paid for the sale'),
    ('Audio', 'Followed an advertisement in a podcast or another audio programme'),
    ('SMS', 'Followed a link in a text message'),
    ('Mobile Push Notifications', 'Followed a notification on a telephone'),
    ('Unassigned', 'Tagged in a way that no rule knows, or, of orders, without any visit before them')
)
select
    channels.channel,
    channels.is_paid,
    coalesce(descriptions.description, 'Named by a rule of the project') as description
from channels
left join descriptions on descriptions.channel = channels.channel
