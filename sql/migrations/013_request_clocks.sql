-- Whoever watches health looks when requests are due, and sees nothing of whom they are about.
grant select (request_id, kind, state, jurisdiction, received_at) on privacy.requests to publisher;
grant select (request_id, event, happened_at) on privacy.request_events to publisher;
