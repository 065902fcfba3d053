import type pg from "pg";
import type { StreamCounts } from "../../domain/runs.ts";
import { scrub } from "../../privacy/scrubber.ts";
import { quoteName } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import type { Vault } from "../vault.ts";
import { type Ahead, holdsFor } from "./ahead.ts";
import { applyCorrections } from "./corrections.ts";
import { NO_COUNTS } from "./counts.ts";
import { judgeAge } from "./judge-age.ts";
import { judge, type Verdict } from "./judge.ts";
import { landingRow, type LandingRow } from "./landing-row.ts";
import { insertNew, mergeRows, type LandingRows } from "./merge.ts";
import type { StreamPage } from "./page.ts";
import type { StreamPlan } from "./plan.ts";
import type { Prepared } from "./record.ts";
import { recordSignals } from "./signals.ts";
import { sealingTokens, sealSecret, Tokeniser } from "./seal.ts";
import type { Admission, Suppressions } from "./suppressions.ts";
import type { Sync } from "./sync.ts";

export interface Landed {
  plan: StreamPage["plan"];
  counts: StreamCounts;
  /** Data keys to remember once the transaction has committed. */
  keys: Map<string, Buffer | null>;
  /** Events that the records have added to the consent ledger. */
  signals: number;
}

/**
 * Lands a stream's share of a page in the caller's transaction. Where the page before held nothing but new records (a
 * first load), this one is taken for the same: written without a look at what stands there, and with it if that fails.
 */
export async function landStream(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  sync: Sync,
  incoming: StreamPage,
  { epoch, suppressions }: Admission,
): Promise<Landed> {
  const { plan, superseded } = incoming;
  const current = await applyCorrections(pool, client, vault, plan, incoming.current);
  const page = { ...incoming, current };
  const { name } = plan.stream;
  let sealed: Sealed | null = null;
  let result: { inserted: number; updated: number; unchanged: number } | null = null;
  if (sync.expectsNew.has(name) && current.length > 0 && superseded.length === 0) {
    const ahead = holdsFor(incoming, epoch, current) ? (incoming.ahead as Ahead) : null;
    const tokenised = ahead ?? (await tokeniseRecords(client, vault, sync, plan, suppressions, current, NONE));
    sealed = await sealRecords(pool, client, vault, sync, plan, tokenised, NONE);
    const inserted = sealed.landing.rows.length;
    if (await insertNew(client, plan, sealed.landing)) result = { inserted, updated: 0, unchanged: 0 };
  }
  if (!sealed || !result) {
    const { changed, unchanged } = await leaveOutUnchanged(client, page);
    const records = [...changed, ...superseded];
    const older = new Set(superseded);
    const tokenised = await tokeniseRecords(client, vault, sync, plan, suppressions, records, older);
    sealed = await sealRecords(pool, client, vault, sync, plan, tokenised, older);
    result = { ...(await mergeRows(client, plan, sealed.landing)), unchanged };
  }
  if (current.length > 0 && result.inserted === current.length) sync.expectsNew.add(name);
  else sync.expectsNew.delete(name);
  await countUndeclared(client, vault, plan, sealed.undeclared);
  if (plan.stream.mode === "snapshot") await recordSeen(client, sync, page);
  if (result.inserted + result.updated > 0) await recordChange(client, `raw.${plan.table}`);
  const signals = await recordSignals(client, plan.signals, plan.fields, saidBy(sealed.landing));
  const counts = { ...NO_COUNTS, ...result, pages: 1, rowsRead: page.read, rejected: page.rejected.length };
  return { plan, keys: sealed.keys, counts, signals };
}

const NONE: ReadonlySet<Prepared> = new Set();

/** The columns of rows that may say something of consent. */
function saidBy({ rows }: LandingRows): { columns: (string | null)[] }[] {
  return rows.flatMap(({ said }) => (said === null ? [] : [{ columns: said }]));
}

interface Sealed {
  landing: LandingRows;
  keys: Map<string, Buffer | null>;
  /** How many of the records have each undeclared field. */
  undeclared: Map<string, number>;
}

/** Records as they may land: those of erased people, and those past their age, dropped or stripped. */
async function tokeniseRecords(
  client: pg.ClientBase,
  vault: Vault,
  sync: Sync,
  plan: StreamPlan,
  suppressions: Suppressions | null,
  records: Prepared[],
  older: ReadonlySet<Prepared>,
): Promise<{ tokeniser: Tokeniser; rows: LandingRow[] }> {
  const tokeniser = new Tokeniser(plan, vault.naming, suppressions);
  const isJudged = suppressions !== null || sync.hasRetention;
  const dropped = isJudged ? ((await sync.facts()).get(`raw.${plan.table}`) ?? null) : null;
  const verdicts = isJudged
    ? await judge(client, plan, tokeniser, records, dropped !== null)
    : new Map<Prepared, Verdict>();
  if (suppressions !== null) await countOut(client, sync, plan, "suppressed", verdicts.size);
  if (sync.hasRetention) {
    const rules = (await sync.rules()).get(`raw.${plan.table}`) ?? null;
    const past = await judgeAge(client, plan, records, older, rules);
    await countOut(client, sync, plan, "past_age", past.size);
    for (const [record, verdict] of past) if (verdicts.get(record) !== "drop") verdicts.set(record, verdict);
  }
  const rows = records.flatMap((prepared) => {
    const verdict = verdicts.get(prepared);
    if (verdict === "drop") return [];
    const row = verdict === "strip" ? tokeniser.strip(prepared, dropped ?? []) : tokeniser.tokenise(prepared);
    return [landingRow(plan, row)];
  });
  return { tokeniser, rows };
}

async function sealRecords(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  sync: Sync,
  plan: StreamPlan,
  { tokeniser, rows }: { tokeniser: Tokeniser; rows: LandingRow[] },
  older: ReadonlySet<Prepared>,
): Promise<Sealed> {
  const undeclared = new Map<string, number>();
  for (const { secret, prepared } of rows) {
    // A stripped record keeps nothing that no schema declares.
    if (secret === null) continue;
    for (const name of Object.keys(prepared.undeclared ?? {})) undeclared.set(name, (undeclared.get(name) ?? 0) + 1);
  }
  const sealing = sealingTokens(rows);
  const keys = await vault.identifierKeys(client, tokeniser.identifiers, sealing);
  const streamKey = await vault.purposeKey(pool, `stream:${plan.stream.source}.${plan.stream.name}`);
  const landing: LandingRows = {
    rows,
    seal: (row) => sealSecret(plan, row, row.ownerToken === null ? streamKey : (keys.get(row.ownerToken) ?? null)),
    reload: sync.reload.get(plan.stream.name) ?? 1,
    older,
  };
  return { landing, keys, undeclared };
}

/** Records of erased people, or past their age, dropped or stripped: counted, and never named. */
async function countOut(
  client: pg.ClientBase,
  sync: Sync,
  plan: StreamPlan,
  as: "suppressed" | "past_age",
  records: number,
): Promise<void> {
  if (records === 0) return;
  await client.query(`update ops.syncs set ${as} = ${as} + $4 where sync_id = $1 and source = $2 and stream = $3`, [
    sync.id,
    sync.source,
    plan.stream.name,
    records,
  ]);
}

/** Parts a page's records into those that may change the table, and the count of those that stand there already. */
async function leaveOutUnchanged(
  client: pg.ClientBase,
  { plan, current }: StreamPage,
): Promise<{ changed: Prepared[]; unchanged: number }> {
  if (current.length === 0) return { changed: [], unchanged: 0 };
  const { rows } = await client.query<{ record_key: string; content_hash: string }>(
    `select record_key, content_hash from ${quoteName("raw", plan.table)} where record_key = any($1::uuid[]) and deleted_at is null`,
    [uuidArray(current.map(({ recordKey }) => recordKey))],
  );
  const standing = new Map(rows.map((row) => [row.record_key, row.content_hash]));
  const changed = current.filter(({ recordKey, contentHash }) => standing.get(recordKey) !== contentHash);
  return { changed, unchanged: current.length - changed.length };
}

async function recordSeen(client: pg.ClientBase, sync: Sync, page: StreamPage): Promise<void> {
  const keys = [...page.current.map(({ recordKey }) => recordKey), ...page.rejectedKeys];
  await client.query(
    "insert into ops.snapshot_keys (sync_id, source, stream, record_key) select $1, $2, $3, unnest($4::uuid[]) on conflict do nothing",
    [sync.id, sync.source, page.plan.stream.name, uuidArray(keys)],
  );
}

/** The text of an array of uuids, which need no quoting one by one. */
function uuidArray(keys: string[]): string {
  return `{${keys.join(",")}}`;
}

/** A field's name can hold an e-mail too, so it is scrubbed like any open string. */
async function countUndeclared(
  client: pg.ClientBase,
  vault: Vault,
  plan: StreamPage["plan"],
  counts: Map<string, number>,
): Promise<void> {
  if (counts.size === 0) return;
  const names = [...counts.keys()].map((name) =>
    scrub(name.replaceAll("\0", "").toWellFormed().slice(0, 1000), (kind, value) =>
      vault.naming.token(kind, value),
    ).slice(0, 200),
  );
  await client.query(
    `insert into ops.undeclared_fields (source, stream, field, records)
     select $1, $2, field, sum(records) from unnest($3::text[], $4::bigint[]) as new (field, records) group by field order by field
     on conflict (source, stream, field) do update
       set records = ops.undeclared_fields.records + excluded.records, last_seen_at = now()`,
    [plan.stream.source, plan.stream.name, names, [...counts.values()]],
  );
}
