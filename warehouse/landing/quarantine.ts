import type pg from "pg";
import { parseJson } from "../../domain/json.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { scrubJson } from "../../privacy/scrub-json.ts";
import { scrub } from "../../privacy/scrubber.ts";
import { open, seal } from "../../privacy/sealing.ts";
import type { Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import { canonicalJson } from "./json-text.ts";
import type { Suppressions } from "./suppressions.ts";

/** A record that can't land: why and where, and what was received, still in plaintext, in memory only. */
export interface Rejected {
  plan: StreamPlan;
  reason: string;
  /** JSON pointer, or a line of the file. */
  pointer: string;
  recordKey: string | null;
  received: Record<string, unknown> | string;
}

/**
 * Puts records into quarantine in the caller's transaction: sealed whole; the same record again counts up. What names an
 * erased person anywhere is not kept.
 */
export async function quarantine(
  client: pg.ClientBase,
  vault: Vault,
  key: Buffer,
  rejected: Rejected[],
  suppressions: Suppressions | null,
): Promise<void> {
  for (const { plan, reason, pointer, recordKey, received } of rejected) {
    const { source, name } = plan.stream;
    const text = typeof received === "string" ? JSON.stringify(received) : receivedText(received);
    const tokens = tokensIn(vault, plan, received, text, suppressions);
    if (tokens === null) continue;
    // A place may be a line of a file that is named after somebody.
    const place = scrub(pointer, (kind, canonical) => vault.naming.token(kind, canonical));
    const fingerprint = vault.naming.contentHash("quarantine", JSON.stringify([source, name, reason, pointer, text]));
    await client.query(
      `insert into ops.quarantine (source, stream, fingerprint, record_key, reason, pointer, sealed, tokens)
       values ($1, $2, $3, $4, $5, $6, $7, $8)
       on conflict (source, stream, fingerprint) do update
         set times_seen = ops.quarantine.times_seen + 1, last_seen_at = now(), expires_at = now() + interval '90 days'`,
      [
        source,
        name,
        fingerprint,
        recordKey,
        reason,
        place,
        seal(key, identity(source, name, fingerprint), text),
        tokens,
      ],
    );
  }
}

export interface QuarantineSummary {
  source: string;
  stream: string;
  reason: string;
  pointer: string;
  records: number;
  lastSeenAt: string;
}

/** Rejected records, counted by stream, reason and place. */
export async function listQuarantine(pool: pg.Pool): Promise<QuarantineSummary[]> {
  const { rows } = await pool.query<QuarantineSummary>(
    `select source, stream, reason, regexp_replace(pointer, '\\d+', 'N') as pointer, count(*)::int as records, max(last_seen_at)::text as "lastSeenAt"
     from ops.quarantine group by 1, 2, 3, 4 order by 1, 2, records desc, 3, 4`,
  );
  return rows;
}

export interface QuarantinedRecord {
  quarantineId: string;
  reason: string;
  pointer: string;
  timesSeen: number;
  firstSeenAt: string;
  lastSeenAt: string;
  /** JSON text of what was received. */
  received: string;
}

/** Opens the rejected records of a stream, newest first. */
export async function openQuarantine(
  pool: pg.Pool,
  vault: Vault,
  request: { source: string; stream: string; limit: number },
): Promise<QuarantinedRecord[]> {
  const key = await vault.purposeKey(pool, "quarantine");
  const { rows } = await pool.query<Omit<QuarantinedRecord, "received"> & { fingerprint: string; sealed: Buffer }>(
    `select quarantine_id as "quarantineId", reason, pointer, times_seen as "timesSeen", first_seen_at::text as "firstSeenAt",
       last_seen_at::text as "lastSeenAt", fingerprint, sealed
     from ops.quarantine where source = $1 and stream = $2 order by last_seen_at desc, quarantine_id limit $3`,
    [request.source, request.stream, request.limit],
  );
  return rows.map(({ fingerprint, sealed, ...row }) => ({
    ...row,
    received: open(key, identity(request.source, request.stream, fingerprint), sealed).toString("utf8"),
  }));
}

/** A rejected record as JSON. What is nested too deep for the stack, too, is told instead of kept. */
export function receivedText(received: Record<string, unknown>): string {
  try {
    return canonicalJson(received) ?? JSON.stringify(received);
  } catch {
    return JSON.stringify("nested too deep to be kept");
  }
}

function identity(source: string, stream: string, fingerprint: string): string {
  return `quarantine:${source}.${stream}:${fingerprint}`;
}

/**
 * Tokens of all identifiers in the record: of the declared fields, and of e-mails and phones anywhere in its text. Null
 * where one of them is an erased person's.
 */
function tokensIn(
  vault: Vault,
  plan: StreamPlan,
  received: Record<string, unknown> | string,
  text: string,
  suppressions: Suppressions | null,
): string[] | null {
  const tokens = new Set<string>();
  let isErased = false;
  const found = (kind: string, canonical: string, isEmail = kind === "email"): string => {
    isErased ||= suppressions?.has(kind, canonical, isEmail) ?? false;
    const token = vault.naming.token(kind, canonical);
    tokens.add(token);
    return token;
  };
  if (typeof received !== "string") {
    for (const { name, schema } of plan.fields) {
      const value = received[name];
      if (!schema.personal || !schema.identifier || value === null || value === undefined) continue;
      const shown = typeof value === "string" ? value : (canonicalJson(value) ?? "");
      const canonical = normaliseIdentifier(schema.personal, shown, plan.defaultCountry);
      if (canonical !== null) found(schema.identifier, canonical, schema.personal === "email");
    }
  }
  scrubJson(parseJson(text), (kind, canonical) => found(kind, canonical), plan.defaultCountry);
  return isErased ? null : [...tokens];
}
