-- One row per touchpoint: a session, as a step on the way to an order.
-- key: touchpoint_id
-- follows: mart.fct_sessions by touchpoint_id
-- foreign key: customer_id -> core.people
-- foreign key: touchpoint_id -> mart.fct_sessions
-- not null: customer_id, touched_at, touch_date, channel, session_id
-- column touchpoint_id: the touchpoint: the session_id of its session
-- column customer_id: who came; ops.nobody() where that is not known
-- column touched_at: when the session started
-- column touch_date: the day on which the session started, in the project's time zone
select
    sessions.session_id as touchpoint_id,
    sessions.customer_id,
    sessions.started_at as touched_at,
    sessions.session_date as touch_date,
    sessions.channel,
    sessions.campaign_id,
    sessions.source,
    sessions.medium,
    sessions.campaign,
    sessions.session_id
from mart.fct_sessions as sessions
