-- A message to one person (a code by which they show who they are) goes through a destination too, which then has heard of
-- them: it stands in the list of recipients, in no audience, and an erasure reaches it.
alter table privacy.deliveries drop constraint deliveries_operation_check,
  add constraint deliveries_operation_check check (operation in ('deliver', 'remove', 'erase', 'message'));
alter table privacy.recipients drop constraint recipients_operation_check,
  add constraint recipients_operation_check check (operation in ('deliver', 'remove', 'message'));
