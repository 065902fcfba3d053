import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { resolveScope, type Scope } from "../erasure/scope.ts";
import { erasureBetween } from "../activation/claim.ts";
import type { Vault } from "../vault.ts";
import { openCode } from "./identity.ts";
import { noteEvent, openIdentifiers, readRequest } from "./store.ts";
import { identifierKinds } from "./subject.ts";

/** What stands for an audience and a purpose in the list of recipients. */
const NO_AUDIENCE = "";
const PURPOSE = "identity_check";

export interface Challenge {
  requestId: string;
  /** Which of the request's codes. */
  number: number;
  /** The message's key: the same at every attempt. */
  deliveryId: string;
  destination: string;
}

/** A code and where it goes to; in memory only. */
interface ChallengeMessage {
  /** The person's pseudonym at the destination. */
  id: string;
  at: string;
  to: { kind: "email" | "phone"; value: string };
  code: string;
  /** Until when it is worth something, ISO 8601. */
  expiresAt: string;
}

/**
 * Looks the address up that a code is sent to, and notes that the destination hears of the person from now on. It is one
 * that is held of the person since before they asked, as it is held and not as the request spells it: the one that is known
 * longest, an e-mail address before a phone number. So who has had an address of their own added to somebody's data lately
 * gets no code. Done again it gives the same.
 * @returns null where the code is worth nothing any more
 * @throws UserError where no address is held of the person
 */
export async function prepareChallenge(
  pool: pg.Pool,
  vault: Vault,
  project: Project,
  { requestId, number, deliveryId, destination }: Challenge,
  actor: string,
): Promise<ChallengeMessage | null> {
  const { receivedAt } = await readRequest(pool, requestId);
  const sought = await openIdentifiers(pool, vault, requestId);
  const code = await openCode(pool, vault, requestId, number);
  if (code === null) return null;
  return await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    const scope = await resolveScope(client, vault, sought);
    const address = await findAddress(client, vault, project, scope, receivedAt);
    if (address === null) {
      const mend = "miette request verify confirms an identity that was shown otherwise";
      throw new UserError(`no e-mail address or phone number was held of the person before they asked; ${mend}`, {
        key: "request",
      });
    }
    const { customerId, kind, to } = address;
    const { rows } = await client.query<{ at: string }>(
      `insert into privacy.deliveries as d (delivery_id, destination, operation, members, state, sent_at)
       values ($1, $2, 'message', 1, 'sent', now()) on conflict (delivery_id) do update set sent_at = now()
       returning to_char(d.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`,
      [deliveryId, destination],
    );
    await client.query(
      `insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, fields, operation)
       values ($1, $2, $3, $4, $5, $6, 'message') on conflict do nothing`,
      [deliveryId, customerId, destination, NO_AUDIENCE, PURPOSE, [kind]],
    );
    const detail = { request: requestId, recipient: destination, fields: kind };
    await recordAudit(client, { actor, action: "request.challenge", purpose: PURPOSE, detail });
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    const { at } = rows[0] as { at: string };
    return { id: vault.naming.pseudonym(destination, customerId), at, to, ...code };
  });
}

async function findAddress(
  client: pg.ClientBase,
  vault: Vault,
  project: Project,
  { tokens }: Scope,
  before: string,
): Promise<{ customerId: string; kind: string; to: ChallengeMessage["to"] } | null> {
  const kinds = identifierKinds(project);
  const of = (personal: "email" | "phone") => [...kinds].flatMap(([kind, each]) => (each === personal ? [kind] : []));
  const { rows } = await client.query<{ token: string; kind: string; customer_id: string }>(
    `select held.token, held.kind, known.customer_id
     from vault.identifiers as held join core.identifiers as known on known.token = held.token
     where held.token = any($1) and held.kind = any($2::text[] || $3::text[]) and held.created_at < $4
       and known.customer_id <> ops.nobody() and not known.is_shared and not known.is_blocked
     order by held.kind = any($2) desc, held.created_at, held.token limit 1`,
    [tokens, of("email"), of("phone"), before],
  );
  const found = rows[0];
  if (!found) return null;
  const value = (await vault.openIdentifiers(client, [found.token])).get(found.token)?.canonical;
  if (value === undefined) return null;
  const kind = kinds.get(found.kind) as "email" | "phone";
  return { customerId: found.customer_id, kind: found.kind, to: { kind, value } };
}

/** Notes that a code has left, and by which destination; not where to. */
export async function noteChallengeSent(pool: pg.Pool, { requestId, destination, number }: Challenge): Promise<void> {
  await noteEvent(pool, requestId, "worker", "challenge_sent", { destination, number });
}
