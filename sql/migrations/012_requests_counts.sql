-- Records of erased people that a sync has dropped, or landed without their person.
alter table ops.syncs add column suppressed bigint not null default 0;
