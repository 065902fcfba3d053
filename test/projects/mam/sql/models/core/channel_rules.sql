-- One row per rule of this project: its three channels, of which A counts as direct.
-- key: position
-- not null: channel, is_paid
-- column position: the order in which rules are tried
-- column channel: the channel that the rule names
-- column is_paid: whether somebody was paid for the visit
-- column source_category: not used here
-- column source_pattern: what the source must match
-- column medium_pattern: not used here
-- column campaign_pattern: not used here
select
    position,
    channel,
    false as is_paid,
    null::text as source_category,
    source_pattern,
    null::text as medium_pattern,
    null::text as campaign_pattern
from (values (1, 'Direct', '^a$'), (2, 'B', '^b$'), (3, 'C', '^c$')) as rules (position, channel, source_pattern)
