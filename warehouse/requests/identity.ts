import { createHash, hkdfSync, timingSafeEqual } from "node:crypto";
import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import { IDENTITY_DAYS, MANDATES, needsIdentity, type IdentityProof, type Mandate } from "../../domain/requests.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import { moveRequest, noteEvent, openSealed, readRequest, requestKey, type RequestSecret } from "./store.ts";

/** Wrong answers to one code, and codes to one request: 15 guesses of 8 digits find one in 6.7 million. */
const ATTEMPTS = 5;
const CODES = 3;
const CODE_MS = 24 * 3_600_000;
const DAY_MS = 86_400_000;

/**
 * Opens the identity check of a request that has to pass one. Done again it changes nothing.
 * @returns milliseconds that are left to show who one is; null: nothing is to be shown, or it was
 */
export async function beginIdentityCheck(pool: pg.Pool, requestId: string): Promise<number | null> {
  const { kind, channel, state, terms } = await readRequest(pool, requestId);
  if (state !== "received" || !needsIdentity(kind, channel, terms)) return null;
  await openCheck(pool, requestId);
  const { rows } = await pool.query<{ left: number }>(
    `select (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as left
     from privacy.identity_checks where request_id = $1`,
    [requestId],
  );
  return Math.max(1, Math.ceil(rows[0]?.left ?? 1));
}

async function openCheck(client: pg.Pool | pg.ClientBase, requestId: string): Promise<void> {
  await client.query(
    "insert into privacy.identity_checks (request_id, expires_at) values ($1, $2) on conflict do nothing",
    [requestId, new Date(Date.now() + IDENTITY_DAYS * DAY_MS)],
  );
}

/**
 * Notes that who asks is who they say, or that an agent has a mandate, and how it was shown. Audited.
 * @throws UserError where nobody waits for that: who an agent is says nothing of a mandate
 */
export async function confirmIdentity(
  pool: pg.Pool,
  requestId: string,
  proof: IdentityProof | Mandate,
  actor: string,
): Promise<void> {
  const { state, terms } = await readRequest(pool, requestId);
  const isByAgent = terms.isByAgent === true;
  if (isByAgent !== isMandate(proof)) {
    const mend = isByAgent
      ? `was made by an agent, whose mandate is to be shown: ${MANDATES.join(", ")}; or challenge asks the person`
      : "was made by the person, so there is no mandate to note";
    throw new UserError(mend, { key: "--by" });
  }
  const moved = await inTransaction(pool, async (client) => {
    if (!(await moveRequest(client, requestId, ["received"], "verified", actor, { proof }))) return false;
    const action = isByAgent ? "request.mandate" : "request.verify";
    await recordAudit(client, { actor, action, detail: { request: requestId, proof } });
    return true;
  });
  if (!moved) throw new UserError(`the request is ${state}, so nobody waits for an identity`, { key: "request" });
}

function isMandate(proof: IdentityProof | Mandate): proof is Mandate {
  return (MANDATES as readonly string[]).includes(proof);
}

/** Who asks for the person, as they have named themselves, for whoever looks into their mandate. Audited. */
export async function openAgent(pool: pg.Pool, vault: Vault, requestId: string, actor: string): Promise<string> {
  const { terms } = await readRequest(pool, requestId);
  if (!terms.isByAgent) throw new UserError("was made by the person, and by no agent", { key: "request" });
  const agent = (await openSealed<RequestSecret>(pool, vault, requestId, "secret"))?.agent;
  if (agent === undefined) throw new UserError("has ended, and forgotten who asked", { key: "request" });
  await inTransaction(pool, (client) =>
    recordAudit(client, { actor, action: "request.agent", detail: { request: requestId } }),
  );
  return agent;
}

/**
 * Makes a one-time code, which goes to an address that is held of the person, never to one that the request named. It is
 * in the caller's memory alone; the warehouse keeps its hash, and an earlier code is worth nothing any more.
 * @returns the code, and which one of the request's it is
 * @throws UserError where nobody waits for an identity, or too many codes were made
 */
export async function makeChallenge(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  actor: string,
): Promise<{ code: string; number: number }> {
  const { kind, channel, state, terms } = await readRequest(pool, requestId);
  if (state !== "received" || !needsIdentity(kind, channel, terms)) {
    throw new UserError("nobody waits for an identity of this request", { key: "request" });
  }
  const key = await requestKey(pool, vault, requestId);
  return await inTransaction(pool, async (client) => {
    await openCheck(client, requestId);
    const { rows } = await client.query<{ codes: number }>(
      `update privacy.identity_checks set code_expires_at = $2, attempts = 0, codes = codes + 1
       where request_id = $1 and codes < ${CODES} returning codes`,
      [requestId, new Date(Date.now() + CODE_MS)],
    );
    const number = rows[0]?.codes;
    if (number === undefined) {
      const mend = "miette request verify confirms an identity that was shown otherwise";
      throw new UserError(`has had ${CODES} codes; ${mend}`, { key: "request" });
    }
    const code = codeOf(key, requestId, number);
    await client.query("update privacy.identity_checks set code_hash = $2 where request_id = $1", [
      requestId,
      hashOf(requestId, code),
    ]);
    await noteEvent(client, requestId, actor, "challenged");
    return { code, number };
  });
}

/** A code that was made, for whoever sends it; null where it is worth nothing any more. */
export async function openCode(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  number: number,
): Promise<{ code: string; expiresAt: string } | null> {
  const { rows } = await pool.query<{ ends: string }>(
    `select to_char(code_expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as ends
     from privacy.identity_checks join privacy.requests using (request_id)
     where request_id = $1 and codes = $2 and state = 'received' and code_expires_at > now()`,
    [requestId, number],
  );
  if (!rows[0]) return null;
  return { code: codeOf(await requestKey(pool, vault, requestId), requestId, number), expiresAt: rows[0].ends };
}

/** Made of the request's own key, so that an attempt to send it that was cut off sends the same again, and nothing keeps it. */
function codeOf(key: Buffer, requestId: string, number: number): string {
  const bits = Buffer.from(hkdfSync("sha256", key, requestId, `challenge ${number}`, 8));
  return String(bits.readBigUInt64BE() % 100_000_000n).padStart(8, "0");
}

/**
 * Whether a code is the one that was sent; the request is verified then. Each wrong answer counts, and after five of them
 * no answer is right. A request that is unknown, or waits for no code, is answered as a wrong code is.
 */
export async function answerChallenge(pool: pg.Pool, requestId: string, code: string, actor: string): Promise<boolean> {
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ hash: Buffer | null; is_open: boolean }>(
      `update privacy.identity_checks as checked set attempts = attempts + 1
       from privacy.requests as request where checked.request_id = $1 and request.request_id = checked.request_id
       returning code_hash as hash, coalesce(attempts <= ${ATTEMPTS} and code_expires_at > clock_timestamp()
         and expires_at > clock_timestamp() and request.state = 'received', false) as is_open`,
      [requestId],
    );
    const { hash = null, is_open: isOpen = false } = rows[0] ?? {};
    const isRight = timingSafeEqual(hashOf(requestId, code), hash ?? hashOf(requestId, `no ${code}`));
    if (!isOpen || !isRight) {
      if (rows[0]) await noteEvent(client, requestId, actor, "challenge_failed");
      return false;
    }
    return await moveRequest(client, requestId, ["received"], "verified", actor, { proof: "challenge" });
  });
}

/** Bound to its request, so that a code of one is nothing to another. */
function hashOf(requestId: string, code: string): Buffer {
  return createHash("sha256").update(`${requestId}\0${code}`).digest();
}
