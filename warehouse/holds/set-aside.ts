import type pg from "pg";
import { LANDING_COLUMNS } from "../../domain/columns.ts";
import type { HeldRows } from "../../domain/retention.ts";
import { open, seal } from "../../privacy/sealing.ts";
import { quoteName } from "../database.ts";
import type { RawTable } from "../erasure/raw-tables.ts";
import { lostColumns } from "../erasure/sweep-raw.ts";
import { rowIdentity } from "../landing/seal.ts";
import { isHeld, momentOf, type Retention } from "../retention/rules.ts";
import type { Vault } from "../vault.ts";

interface Held {
  recordKey: string;
  /** Whose it is, by the place in the list that `holdErased` was given. */
  request: number;
  /** Of the rule that holds it longest; null: none does. */
  purpose: string | null;
  law: string | null;
  until: string | null;
  /** By hand. */
  holdId: string | null;
}

interface ByHand {
  holdId: string;
  purpose: string;
  law: string;
  until: string | null;
  /** Of which requests it is the person's. */
  requests: number[];
}

/** What of the rows in `found` a rule or somebody holds, in the caller's transaction. */
async function findHeld(
  client: pg.ClientBase,
  table: RawTable,
  { rules, facts, categories }: Retention,
): Promise<{ held: Held[]; byHand: ByHand[] }> {
  const holds = rules.get(table.relation)?.holds ?? [];
  const { rows: byHand } = await client.query<ByHand>(
    `select h.hold_id as "holdId", h.purpose, h.law, h.until::text as until, array_agg(distinct erased.request) as requests
     from privacy.holds as h join privacy.hold_identifiers as who on who.hold_id = h.hold_id
     join erased_tokens as erased on erased.token = who.token
     where h.released_at is null and (h.until is null or h.until > now()) and h.category = any($1)
     group by h.hold_id order by h.until desc nulls first, h.hold_id`,
    [categories.get(table.relation) ?? []],
  );
  if (holds.length + byHand.length === 0) return { held: [], byHand };
  const dropped = facts.get(table.relation);
  const lost = dropped === undefined ? [] : lostColumns(table, dropped).map((name) => `t.${name}`);
  const ends = holds.map(
    (hold) => `case when ${isHeld(hold)} then (${momentOf(hold)} + interval '${hold.keep}')::text end`,
  );
  const { rows } = await client.query<{ key: string; request: number; ends: (string | null)[] }>(
    `select t.record_key as key, coalesce(found.request, 0) as request, array[${ends.join(", ")}]::text[] as ends
     from ${quoteName("raw", table.name)} as t join found on found.record_key = t.record_key
     where not found.is_anothers and ${lost.length > 0 ? `num_nonnulls(${lost.join(", ")}) > 0` : "true"}`,
  );
  const held = rows.flatMap(({ key, request, ends: untils }): Held[] => {
    const [longest] = holds
      .flatMap(({ purpose, law }, index) => (untils[index] ? [{ purpose, law, until: untils[index] }] : []))
      .toSorted((a, b) => Date.parse(b.until) - Date.parse(a.until));
    const hand = byHand.find((each) => each.requests.includes(request));
    if (!longest && !hand) return [];
    const byRule = longest ?? { purpose: null, law: null, until: null };
    return [{ recordKey: key, request, ...byRule, holdId: hand?.holdId ?? null }];
  });
  return { held, byHand };
}

/** How many of the rows in `found` are held, and for what, by whose they are. */
export async function countHeld(
  client: pg.ClientBase,
  table: RawTable,
  retention: Retention,
): Promise<(HeldRows & { request: number })[]> {
  const { held, byHand } = await findHeld(client, table, retention);
  const counts = new Map<string, HeldRows & { request: number }>();
  for (const { request, purpose, law, until, holdId } of held) {
    const hand = byHand.find((each) => each.holdId === holdId);
    const reason = hand ?? { purpose: purpose as string, law: law as string, until };
    const name = `${request} ${reason.purpose} ${reason.law}`;
    const before = counts.get(name);
    const ends = [reason.until, ...(before ? [before.until] : [])];
    counts.set(name, {
      request,
      relation: table.relation,
      purpose: reason.purpose,
      law: reason.law,
      until: ends.some((end) => end === null) ? null : (ends as string[]).toSorted().at(-1)!,
      rows: (before?.rows ?? 0) + 1,
    });
  }
  return [...counts.values()];
}

/**
 * Keeps what is held of the rows in `found`, before their person is taken out of them: opened, in this process's memory,
 * and sealed again under a key of the erasure's own. A record that has been set aside before stays as it was.
 * @param requestIds the requests in the order that `holdErased` was given
 */
export async function setHeldAside(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  table: RawTable,
  retention: Retention,
  requestIds: readonly string[],
): Promise<void> {
  const { held } = await findHeld(client, table, retention);
  if (held.length === 0) return;
  const records = await openRecords(
    pool,
    client,
    vault,
    table,
    held.map(({ recordKey }) => recordKey),
  );
  for (const { recordKey, request, purpose, law, until, holdId } of held) {
    const requestId = requestIds[request] as string;
    const key = await vault.purposeKey(pool, holdKey(requestId));
    const sealed = seal(key, heldIdentity(requestId, recordKey), JSON.stringify(records.get(recordKey)));
    await client.query(
      `insert into privacy.held_records (request_id, record_key, relation, purpose, law, until, hold_id, sealed)
       values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing`,
      [requestId, recordKey, table.relation, purpose, law, until, holdId, sealed],
    );
  }
}

export function holdKey(requestId: string): string {
  return `hold:${requestId}`;
}

export function heldIdentity(requestId: string, recordKey: string): string {
  return `hold:${requestId}:${recordKey}`;
}

/** Whole records, in plain, by their keys: values for tokens, and what is sealed. */
async function openRecords(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  table: RawTable,
  keys: string[],
): Promise<Map<string, Record<string, unknown>>> {
  const { rows } = await client.query<{ row: Record<string, unknown>; sealed: Buffer | null }>(
    `select to_jsonb(t) - 'sealed' as row, t.sealed from ${quoteName("raw", table.name)} as t where t.record_key = any($1::uuid[])`,
    [keys],
  );
  const carried = rows.flatMap(({ row }) => [...table.identifiers, "owner_token"].map((name) => row[name]));
  const opened = await vault.openIdentifiers(client, [...new Set(carried.filter((each) => typeof each === "string"))]);
  const streamKey = await vault.purposeKey(pool, `stream:${table.stream}`);
  return new Map(
    rows.map(({ row, sealed }) => {
      const { record_key: recordKey, content_hash: contentHash, owner_token: owner, landed_at: landedAt } = row;
      const key = typeof owner === "string" ? opened.get(owner)?.key : streamKey;
      const secret: Secret =
        sealed === null || !key
          ? {}
          : (JSON.parse(
              open(key, rowIdentity(table.name, recordKey as string, contentHash as string), sealed).toString("utf8"),
            ) as Secret);
      const values = Object.entries(row).flatMap(([name, value]) => {
        if (LANDED.has(name)) return [];
        const isToken = table.identifiers.includes(name) && typeof value === "string";
        return [[name, isToken ? (opened.get(value)?.canonical ?? null) : value]];
      });
      const fields: Record<string, unknown> = { ...Object.fromEntries(values), ...secret.personal };
      const { undeclared } = secret;
      return [
        recordKey as string,
        { stream: table.stream, record_key: recordKey, landed_at: landedAt, fields, ...(undeclared && { undeclared }) },
      ];
    }),
  );
}

interface Secret {
  personal?: Record<string, unknown>;
  undeclared?: Record<string, unknown>;
}

/** What landing adds to a record. */
const LANDED = new Set<string>(LANDING_COLUMNS);
