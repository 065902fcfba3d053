-- Records carry what people say about the use of their data (Sec-GPC, the choices of a banner): whoever lands them adds it
-- to the ledger, and compares it with what the same identifiers have said before.
grant select, insert on privacy.consent_events, privacy.consent_identifiers to loader;
