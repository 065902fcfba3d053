-- One row per day, platform and campaign of paid advertising, in the reporting currency.
-- key: ad_spend_id
-- follows: core.ad_spend by ad_spend_id; core.ad_spend_sources by ad_spend_id
-- follows: core.traffic_sources by traffic_source_id
-- foreign key: channel -> mart.dim_channels
-- not null: source, spent_on, platform, currency, source_amount, source_currency, channel
-- column ad_spend_id: the day's spending: its record_key
-- column source: the source that it came from
-- column amount: what was spent, in the reporting currency
-- column currency: the reporting currency, ISO 4217
-- column source_amount: what was spent, as the source has it
-- column source_currency: currency of the source's amount, ISO 4217
-- column channel: the channel by which its clicks come
-- column traffic_source_id: where its clicks come from, told apart in core.traffic_sources
select
    spend.record_key as ad_spend_id,
    spend.source,
    spend.spent_on,
    spend.platform,
    spend.campaign,
    spend.utm_source,
    spend.utm_medium,
    case
        when spend.currency = (select ops.currency()) then spend.amount
        else spend.amount * rates.rate
    end as amount,
    (select ops.currency()) as currency,
    spend.amount as source_amount,
    spend.currency as source_currency,
    spend.impressions,
    spend.clicks,
    sources.channel,
    clicks.traffic_source_id
from core.ad_spend as spend
join core.ad_spend_sources as clicks on clicks.ad_spend_id = spend.record_key
join core.traffic_sources as sources on sources.traffic_source_id = clicks.traffic_source_id
left join core.daily_rates as rates on rates.currency = spend.currency and rates.valid_on = spend.spent_on
