import type pg from "pg";
import type { Alert } from "../../domain/alerts.ts";
import { readClock, type Clock, type Deadline } from "../../domain/clocks.ts";
import { UserError } from "../../domain/errors.ts";
import { inTransaction } from "../database.ts";
import { noteEvent, readRequest } from "./store.ts";

/** The grounds on which an answer may take longer (GDPR article 12(3)). */
export const EXTENSION_REASONS = ["complexity", "number_of_requests"] as const;
export type ExtensionReason = (typeof EXTENSION_REASONS)[number];

/** An open request and its clock. */
export interface RequestClock {
  requestId: string;
  kind: string;
  jurisdiction: string | null;
  receivedAt: Date;
  isConfirmed: boolean;
  isExtended: boolean;
  clock: Clock;
}

const CLOSED = ["completed", "completed_with_exceptions", "cancelled", "refused", "expired"];
const DAY_MS = 86_400_000;

/**
 * The clocks of the requests that wait for an answer, by when it is due.
 * @param requestId only this one's, if it is open
 */
export async function openClocks(
  client: pg.ClientBase | pg.Pool,
  timeZone: string,
  requestId: string | null = null,
): Promise<RequestClock[]> {
  const { rows } = await client.query<{
    request_id: string;
    kind: string;
    jurisdiction: string | null;
    received_at: string;
    identified_at: string | null;
    confirmed: boolean;
    extended: boolean;
  }>(
    `select request.request_id, request.kind, request.jurisdiction, request.received_at, event.identified_at,
       coalesce(event.confirmed, false) as confirmed, coalesce(event.extended, false) as extended
     from privacy.requests as request
     left join lateral (
       select min(happened_at) filter (where event = 'verified') as identified_at,
         bool_or(event = 'confirmed') as confirmed, bool_or(event = 'extended') as extended
       from privacy.request_events as event where event.request_id = request.request_id
     ) as event on true
     where request.state <> all ($1) and ($2::uuid is null or request.request_id = $2)`,
    [CLOSED, requestId],
  );
  const clocks = rows.map((row) => {
    const { request_id: id, kind, jurisdiction, confirmed: isConfirmed, extended: isExtended } = row;
    const receivedAt = new Date(row.received_at);
    const identifiedAt = row.identified_at === null ? null : new Date(row.identified_at);
    const clock = readClock({ jurisdiction, kind, receivedAt, identifiedAt, isExtended }, timeZone);
    return { requestId: id, kind, jurisdiction, receivedAt, isConfirmed, isExtended, clock };
  });
  return clocks.toSorted((a, b) => (a.clock.due.at < b.clock.due.at ? -1 : 1));
}

/**
 * How the clocks stand: a warning after each reminder's time, an error from the end of the last day on. Nothing but an
 * answer, a confirmation or an extension makes one well again; those of requests that were closed are.
 * @param requestId only this request's
 */
export async function requestAlerts(
  client: pg.ClientBase,
  timeZone: string,
  now: Date,
  requestId: string | null = null,
): Promise<Alert[]> {
  const alerts = (await openClocks(client, timeZone, requestId)).flatMap((each) => [
    answerAlert(each, now),
    ...confirmationAlert(each, now),
  ]);
  const { rows } = await client.query<Alert>(
    `select subject, 'ok' as state, code, '{}'::jsonb as counts from ops.alerts
     where state <> 'ok' and subject like any ($2) and subject <> all ($1)`,
    [alerts.map(({ subject }) => subject), [`request:${requestId ?? "%"}`, `confirmation:${requestId ?? "%"}`]],
  );
  return [...alerts, ...rows];
}

/** The subjects under which a request's clock is told. */
export function clockSubjects(requestId: string): string[] {
  return [`request:${requestId}`, `confirmation:${requestId}`];
}

/** An overdue request is looked at every day until it is answered. */
const OVERDUE_MS = DAY_MS;

/** When a clock has to be looked at next: the first of its moments that is still to come. ISO 8601. */
export function nextLook({ clock, isConfirmed, receivedAt }: RequestClock, now: Date): string {
  const moments = [...clock.warnings.map((at) => Date.parse(at)), Date.parse(clock.due.at) + 1];
  if (clock.acknowledge && !isConfirmed) {
    const end = Date.parse(clock.acknowledge.at);
    moments.push(Math.ceil((receivedAt.getTime() + end) / 2), end + 1);
  }
  const coming = moments.filter((at) => at > now.getTime());
  return new Date(coming.length > 0 ? Math.min(...coming) : now.getTime() + OVERDUE_MS).toISOString();
}

/** Each of its codes is told once. */
const REMINDERS = ["due", "due_soon", "due_now"];

function answerAlert({ requestId, clock }: RequestClock, now: Date): Alert {
  const passed = clock.warnings.filter((at) => Date.parse(at) <= now.getTime()).length;
  const isLate = Date.parse(clock.due.at) < now.getTime();
  return {
    subject: `request:${requestId}`,
    state: isLate ? "error" : passed > 0 ? "warning" : "ok",
    code: isLate ? "overdue" : (REMINDERS[passed - 1] ?? "due"),
    counts: { days: daysLeft(clock.due, now) },
  };
}

function confirmationAlert({ requestId, clock, isConfirmed, receivedAt }: RequestClock, now: Date): Alert[] {
  const deadline = clock.acknowledge;
  if (!deadline || isConfirmed) return [];
  const end = Date.parse(deadline.at);
  const isLate = end < now.getTime();
  const isSoon = (receivedAt.getTime() + end) / 2 <= now.getTime();
  return [
    {
      subject: `confirmation:${requestId}`,
      state: isLate ? "error" : isSoon ? "warning" : "ok",
      code: isLate ? "overdue" : "due",
      counts: { days: daysLeft(deadline, now) },
    },
  ];
}

function daysLeft({ at }: Deadline, now: Date): number {
  return Math.floor((Date.parse(at) - now.getTime()) / DAY_MS);
}

/** Notes that the person was told that the request has come. @throws UserError where it waits for nothing any more */
export async function confirmReceipt(pool: pg.Pool, requestId: string, actor: string): Promise<void> {
  await inOpenRequest(pool, requestId, async (client) => {
    await noteEvent(client, requestId, actor, "confirmed");
  });
}

/**
 * Gives a request the longest time that its law allows. The person must have been told why within the first.
 * @param extension.toldAt when the notice went out
 * @returns by when the answer is due now
 * @throws UserError where the law or the time does not allow it
 */
export async function extendRequest(
  pool: pg.Pool,
  extension: { requestId: string; reason: ExtensionReason; toldAt: Date; actor: string },
  timeZone: string,
): Promise<Deadline> {
  const { requestId, reason, toldAt, actor } = extension;
  return await inOpenRequest(pool, requestId, async (client) => {
    const open = (await openClocks(client, timeZone)).find((each) => each.requestId === requestId);
    if (!open || open.isExtended) throw new UserError("the request has been extended before", { key: "request" });
    const { extended, answer, rule } = open.clock;
    if (extended === null) throw new UserError(`its law (${rule}) knows no extension`, { key: "request" });
    if (toldAt > new Date()) throw new UserError("lies in the future; tell the person first", { key: "--told" });
    if (toldAt < open.receivedAt) throw new UserError("lies before the request came", { key: "--told" });
    if (toldAt.getTime() > Date.parse(answer.at)) {
      const mend = "answer now: the time is over";
      throw new UserError(`the person had to be told by the end of ${answer.day}; ${mend}`, { key: "--told" });
    }
    await noteEvent(client, requestId, actor, "extended", { reason, told: toldAt.toISOString(), due: extended.at });
    await client.query("update privacy.requests set due_at = $2 where request_id = $1", [requestId, extended.at]);
    return extended;
  });
}

async function inOpenRequest<T>(
  pool: pg.Pool,
  requestId: string,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return await inTransaction(
    pool,
    async (client) => {
      const { state } = await readRequest(client, requestId);
      if (CLOSED.includes(state)) throw new UserError(`the request is ${state} already`, { key: "request" });
      // Two extensions at once must not both be the first.
      await client.query("select from privacy.requests where request_id = $1 for update", [requestId]);
      return await work(client);
    },
    "begin; set local role privacy",
  );
}
