import type pg from "pg";
import { ALL_PURPOSES, type Choice } from "../../domain/consent.ts";
import { UserError } from "../../domain/errors.ts";
import { recordAudit } from "../audit.ts";
import { readEpoch } from "../epoch.ts";

/** Something that a person has said about the use of their data. */
export interface Said {
  choice: Choice;
  /** False: withdrawn, lifted. */
  isGiven: boolean;
  purpose: string;
  occurredAt: Date;
  source: string;
  noticeVersion: string | null;
  jurisdiction: string | null;
  expiresAt: Date | null;
}

const PURPOSE = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * Adds to the ledger what the person of these identifiers has said, in the caller's transaction and with a line in the
 * audit. The identifiers need not be known yet: what was said holds from the first record on that carries one.
 * @param tokens of the person's identifiers, at least one
 * @returns the event's id
 * @throws UserError where it can't be what a person has said
 */
export async function recordSaid(client: pg.ClientBase, said: Said, tokens: string[], actor: string): Promise<string> {
  const { choice, isGiven, purpose, occurredAt, source, noticeVersion, jurisdiction, expiresAt } = said;
  if (purpose !== ALL_PURPOSES && !PURPOSE.test(purpose)) {
    throw new UserError("must be a word of lower-case letters, digits and underscores, as in marketing, or * for all", {
      key: "purpose",
    });
  }
  if (choice === "consent" && isGiven && purpose === ALL_PURPOSES) {
    throw new UserError("a consent is given for one purpose (GDPR article 6(1)(a)); name it", { key: "purpose" });
  }
  if (expiresAt && expiresAt <= occurredAt) {
    throw new UserError("must be later than the moment of the consent", { key: "expires" });
  }
  await readEpoch(client);
  const { rows } = await client.query<{ event_id: string }>(
    `insert into privacy.consent_events
       (occurred_at, choice, is_given, purpose, source, notice_version, jurisdiction, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8) returning event_id`,
    [occurredAt, choice, isGiven, purpose, source, noticeVersion, jurisdiction, expiresAt],
  );
  const eventId = rows[0]?.event_id as string;
  await client.query(
    "insert into privacy.consent_identifiers (token, event_id) select distinct token, $2::bigint from unnest($1::text[]) as token",
    [tokens, eventId],
  );
  await recordAudit(client, {
    actor,
    action: `consent.${choice}`,
    detail: { event: Number(eventId), purpose, given: isGiven },
  });
  return eventId;
}
