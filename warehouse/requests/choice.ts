import type pg from "pg";
import { ALL_PURPOSES, type Choice } from "../../domain/consent.ts";
import { UserError } from "../../domain/errors.ts";
import type { RequestReport } from "../../domain/requests.ts";
import { recordSaid } from "../consent/record.ts";
import { inTransaction } from "../database.ts";
import { resolveScope } from "../erasure/scope.ts";
import { issueReceiptOnce } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { forgetSubject, moveRequest, openIdentifiers, readRequest } from "./store.ts";

/**
 * Writes down in the consent ledger what a request says, once. A refusal is said by every identifier that is known to be
 * the person's, so that it holds whichever of them is met, also after a split; a consent, and what takes something back,
 * by those alone that were given.
 * @throws UserError where all that was given stands for many people or nobody
 */
export async function applyChoice(
  pool: pg.Pool,
  vault: Vault,
  { requestId, actor }: { requestId: string; actor: string },
): Promise<void> {
  const { kind, state, channel, jurisdiction, receivedAt, terms } = await readRequest(pool, requestId);
  if (state !== "received" && state !== "verified") return;
  const identifiers = await openIdentifiers(pool, vault, requestId);
  const scope = await resolveScope(pool, vault, identifiers);
  if (scope.tokens.length === 0) {
    throw new UserError(
      "what was given is used by many people or blocked, so it stands for nobody; name the person by another identifier",
      { key: "request" },
    );
  }
  const { purposes = [ALL_PURPOSES], isLifted = false, noticeVersion = null, expiresAt = null } = terms;
  const choice = kind as Choice;
  const isRefusal = choice !== "consent" && !isLifted;
  const given = identifiers.map(({ kind: each, canonical }) => vault.naming.token(each, canonical));
  const tokens = isRefusal ? scope.tokens : given.filter((token) => scope.tokens.includes(token));
  await inTransaction(pool, async (client) => {
    if (!(await moveRequest(client, requestId, ["received", "verified"], "running", actor))) return;
    for (const purpose of purposes) {
      await recordSaid(
        client,
        {
          choice,
          isGiven: !isLifted,
          purpose,
          occurredAt: new Date(receivedAt),
          source: channel,
          noticeVersion,
          jurisdiction,
          expiresAt: expiresAt === null ? null : new Date(expiresAt),
        },
        tokens,
        actor,
      );
    }
  });
}

/** Closes a request that wrote the ledger, with its receipt. Done again, it gives the one that was issued. */
export async function completeChoice(
  pool: pg.Pool,
  vault: Vault,
  { requestId }: { requestId: string },
): Promise<RequestReport> {
  const { kind, jurisdiction, receivedAt, terms } = await readRequest(pool, requestId);
  const receipt = await issueReceiptOnce(pool, vault, requestId, kind, () => ({
    kind,
    outcome: "completed",
    jurisdiction,
    received_at: receivedAt,
    purposes: terms.purposes ?? [ALL_PURPOSES],
    taken_back: terms.isLifted ?? false,
  }));
  await inTransaction(pool, (client) =>
    moveRequest(client, requestId, ["running"], "completed", "worker", { receipt }),
  );
  await forgetSubject(pool, vault, requestId);
  return { state: "completed", receipt };
}
