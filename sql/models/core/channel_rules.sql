-- One row per rule that names a channel. The first rule that fits decides; whatever fits none is Unassigned.
-- These are the rules of GA4's default channel group; a project puts its own in their place.
-- Patterns meet lower-case text; a source, medium or campaign that is not there is the empty text.
-- key: position
-- not null: channel, is_paid
-- column position: the order in which rules are tried
-- column channel: the channel that the rule names
-- column is_paid: whether somebody was paid for the visit
-- column source_category: the category of the source in core.source_categories; null where it does not matter
-- column source_pattern: regular expression that the source must match; null where it does not matter
-- column medium_pattern: regular expression that the medium must match; null where it does not matter
-- column campaign_pattern: regular expression that the campaign must match; null where it does not matter
select position, channel, is_paid, source_category, source_pattern, medium_pattern, campaign_pattern
from (
    values
    (10, 'Direct', false, null, '^(\(direct\))?$', '^(\(none\)|\(not set\))?$', '^(\(direct\)|\(none\)|\(not set\))?$'),
    (20, 'Cross-network', true, null, null, null, 'cross-network'),
    (30, 'Paid Shopping', true, 'shopping', null, '^(.*cp.*|ppc|retargeting|paid.*)$', null),
    (31, 'Paid Shopping', true, null, null, '^(.*cp.*|ppc|retargeting|paid.*)$', '(^|[^a-df-z])shop|shopping'),
    -- Alibaba sends visitors to other shops by advertisements alone, so its bare name needs no medium.
    (32, 'Paid Shopping', true, null, '^alibaba$', '^$', null),
    (40, 'Paid Search', true, 'search', null, '^(.*cp.*|ppc|retargeting|paid.*)$', null),
    (50, 'Paid Social', true, 'social', null, '^(.*cp.*|ppc|retargeting|paid.*)$', null),
    (60, 'Paid Video', true, 'video', null, '^(.*cp.*|ppc|retargeting|paid.*)$', null),
    (70, 'Display', true, null, null, '^(display|banner|expandable|interstitial|cpm)$', null),
    (80, 'Paid Other', true, null, null, '^(.*cp.*|ppc|retargeting|paid.*)$', null),
    (90, 'Organic Shopping', false, 'shopping', null, null, null),
    (91, 'Organic Shopping', false, null, null, null, '(^|[^a-df-z])shop|shopping'),
    (100, 'Organic Social', false, 'social', null, null, null),
    (101, 'Organic Social', false, null, null, '^(social|social[- ](network|media)|sm)$', null),
    (110, 'Organic Video', false, 'video', null, null, null),
    (111, 'Organic Video', false, null, null, 'video', null),
    (120, 'Organic Search', false, 'search', null, null, null),
    (121, 'Organic Search', false, null, null, '^organic$', null),
    (130, 'Referral', false, null, null, '^(referral|app|link)$', null),
    (140, 'Email', false, null, '^e[-_ ]?mail$', null, null),
    (141, 'Email', false, null, null, '^e[-_ ]?mail$', null),
    (150, 'Affiliates', true, null, null, '^affiliates?$', null),
    (160, 'Audio', false, null, null, '^audio$', null),
    (170, 'SMS', false, null, '^sms$', null, null),
    (171, 'SMS', false, null, null, '^sms$', null),
    (180, 'Mobile Push Notifications', false, null, '^firebase$', null, null),
    (181, 'Mobile Push Notifications', false, null, null, 'push$|mobile|notification', null)
) as rules (position, channel, is_paid, source_category, source_pattern, medium_pattern, campaign_pattern)
