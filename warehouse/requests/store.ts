import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import type { ErasurePlan, RequestKind, RequestState, RequestSummary, RequestTerms } from "../../domain/requests.ts";
import { open, seal } from "../../privacy/sealing.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import type { Sought } from "./subject.ts";

export interface NewRequest {
  kind: RequestKind;
  /** `cli`, `api`, `gpc`, `source:newsletter`. */
  channel: string;
  jurisdiction: string | null;
  /** When it has to be answered; null: no law's clock is known to run. */
  dueAt: Date | null;
  /** Before this moment nothing is carried out. */
  notBefore: Date | null;
  identifiers: Sought[];
  /** What is asked beside the kind. */
  terms?: RequestTerms;
  /** What it brings that is only for who carries it out. */
  secret?: RequestSecret;
  /** The request's id; absent: a new one. */
  requestId?: string;
  /** URLs that are told what has become of it. */
  callbacks?: string[];
  actor: string;
}

/** Kept sealed, and destroyed once used. */
export interface RequestSecret {
  /** correction: the right value by `source.stream.field`; null: there is none. */
  values?: Record<string, string | null>;
  /** access: what encrypts the archive. */
  passphrase?: string;
  /** Who asks for the person. */
  agent?: string;
}

/** What of a request is sealed under its key. */
type SealedColumn = "sealed" | "scope" | "secret";

/** A request as it stands, without what is sealed. */
export interface StoredRequest extends RequestSummary {
  notBefore: string | null;
  subject: string | null;
  terms: RequestTerms;
  plan: ErasurePlan | null;
  approvedAt: string | null;
  batchId: string | null;
  outcome: unknown;
}

/**
 * Takes a request in: the identifiers are sealed under a key of the request's own before anything is written, so that
 * whoever goes on with it needs to know its id alone.
 * @returns the request's id
 */
export async function receiveRequest(pool: pg.Pool, vault: Vault, request: NewRequest): Promise<string> {
  const { requestId = crypto.randomUUID(), callbacks = [] } = request;
  const key = await vault.purposeKey(pool, keyPurpose(requestId));
  const { kind, channel, jurisdiction, dueAt, notBefore, identifiers, terms = {}, secret, actor } = request;
  const sealed = (column: SealedColumn, value: unknown): Buffer =>
    seal(key, identity(requestId, column), JSON.stringify(value));
  await inTransaction(pool, async (client) => {
    await client.query(
      `insert into privacy.requests (request_id, kind, channel, jurisdiction, due_at, not_before, sealed, terms, secret)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        requestId,
        kind,
        channel,
        jurisdiction,
        dueAt,
        notBefore,
        sealed("sealed", identifiers),
        JSON.stringify(terms),
        secret ? sealed("secret", secret) : null,
      ],
    );
    await client.query(
      "insert into privacy.request_callbacks (request_id, url) select $1, unnest($2::text[]) on conflict do nothing",
      [requestId, callbacks],
    );
    await noteEvent(client, requestId, actor, "received", {
      kind,
      identifiers: identifiers.length,
      ...(terms.isByAgent && { by_agent: true }),
    });
  });
  return requestId;
}

/** Adds to what has happened to a request. The detail holds ids, names and counts, never a value. */
export async function noteEvent(
  client: pg.ClientBase | pg.Pool,
  requestId: string,
  actor: string,
  event: string,
  detail: Record<string, string | number | boolean | null> = {},
): Promise<void> {
  await client.query("insert into privacy.request_events (request_id, actor, event, detail) values ($1, $2, $3, $4)", [
    requestId,
    actor.slice(0, 200),
    event,
    JSON.stringify(detail),
  ]);
}

const COLUMNS = `request_id as "requestId", kind, state, channel, jurisdiction, received_at::text as "receivedAt",
  due_at::text as "dueAt", completed_at::text as "completedAt", not_before::text as "notBefore", subject, terms, plan,
  approved_at::text as "approvedAt", batch_id as "batchId", outcome`;

/** @throws UserError where there is no such request */
export async function readRequest(client: pg.ClientBase | pg.Pool, requestId: string): Promise<StoredRequest> {
  const isId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(requestId);
  const { rows } = isId
    ? await client.query<StoredRequest>(`select ${COLUMNS} from privacy.requests where request_id = $1`, [requestId])
    : { rows: [] };
  if (!rows[0]) throw new UserError("there is no request of this id; miette requests lists them", { key: "request" });
  return rows[0];
}

/** All requests, newest first. */
export async function listRequests(pool: pg.Pool): Promise<RequestSummary[]> {
  const { rows } = await pool.query<RequestSummary>(
    `select ${COLUMNS} from privacy.requests order by received_at desc, request_id`,
  );
  return rows;
}

/**
 * Moves a request on, if it stands in one of the states that lead there.
 * @returns whether it did
 */
export async function moveRequest(
  client: pg.ClientBase,
  requestId: string,
  from: readonly RequestState[],
  to: RequestState,
  actor: string,
  detail: Record<string, string | number | boolean | null> = {},
): Promise<boolean> {
  const isEnd = to.startsWith("completed") || to === "cancelled" || to === "refused" || to === "expired";
  const { rowCount } = await client.query(
    `update privacy.requests set state = $3, completed_at = case when $4 then now() else completed_at end,
       approved_at = case when $3 = 'approved' then now() else approved_at end,
       approved_by = case when $3 = 'approved' then $5 else approved_by end
     where request_id = $1 and state = any($2)`,
    [requestId, from, to, isEnd, actor.slice(0, 200)],
  );
  if (rowCount !== 1) return false;
  await noteEvent(client, requestId, actor, to, detail);
  return true;
}

/** The identifiers that a request was made with, for the caller's memory alone; none where they are destroyed. */
export async function openIdentifiers(pool: pg.Pool, vault: Vault, requestId: string): Promise<Sought[]> {
  return (await openSealed<Sought[]>(pool, vault, requestId, "sealed")) ?? [];
}

/** Opens one of a request's sealed columns; null where nothing is sealed there. */
export async function openSealed<T>(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  column: SealedColumn,
): Promise<T | null> {
  const { rows } = await pool.query<{ value: Buffer | null }>(
    `select ${column} as value from privacy.requests where request_id = $1`,
    [requestId],
  );
  const value = rows[0]?.value;
  if (!value) return null;
  const key = await requestKey(pool, vault, requestId);
  return JSON.parse(open(key, identity(requestId, column), value).toString("utf8")) as T;
}

/** Seals a value for one of a request's columns. */
export async function sealForRequest(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  column: SealedColumn,
  value: unknown,
): Promise<Buffer> {
  const key = await requestKey(pool, vault, requestId);
  return seal(key, identity(requestId, column), JSON.stringify(value));
}

/** Makes what was sealed for a request unreadable in every copy, once its key's generation is gone; here at once. */
export async function forgetSubject(pool: pg.Pool, vault: Vault, requestId: string): Promise<void> {
  await pool.query("update privacy.requests set sealed = null, scope = null, secret = null where request_id = $1", [
    requestId,
  ]);
  await vault.destroyPurposeKey(pool, keyPurpose(requestId));
}

/** The key of a request's own, under which all that names its person is sealed. */
export async function requestKey(pool: pg.Pool, vault: Vault, requestId: string): Promise<Buffer> {
  return await vault.purposeKey(pool, keyPurpose(requestId));
}

function keyPurpose(requestId: string): string {
  return `request:${requestId}`;
}

function identity(requestId: string, column: string): string {
  return `request:${requestId}:${column}`;
}
