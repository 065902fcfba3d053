import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import type { StreamCounts } from "../../domain/runs.ts";
import type { Json } from "../../domain/streams.ts";
import { scrub } from "../../privacy/scrubber.ts";
import { inTransaction, quoteName } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { recordChange } from "../relation-state.ts";
import type { Identifier, Vault } from "../vault.ts";
import { mergeRows, type LandingRow } from "./merge.ts";
import { preparePage, type StreamPage } from "./page.ts";
import type { StreamPlan } from "./plan.ts";
import { quarantine } from "./quarantine.ts";
import type { Prepared } from "./record.ts";
import { sealSecret, tokenise, type Tokenised } from "./seal.ts";
import { addCounts, NO_COUNTS } from "./counts.ts";
import { moveCursor } from "./cursor.ts";
import { writeAudit, type Sync } from "./sync.ts";
import { holdsDefinition } from "./table.ts";

/** What a connector's page brings, by stream. */
export interface IncomingPage {
  records: Record<string, Record<string, unknown>[]>;
  rejects?: { stream: string; reason: string; pointer: string; raw: string }[];
  cursor: Json;
  part?: string;
}

/** Rows read before the share of rejected ones is judged. */
const JUDGED_AFTER = 1000;
/** An erasure moves the epoch while a page is being decided: decided anew, at the most this often. */
const EPOCH_ATTEMPTS = 5;

/**
 * Lands a page: its rows, its rejected records, the cursor and the audit line in one transaction, so that a sync killed
 * at any instant goes on after its last committed page.
 * @throws CodedError `too_many_rejects` before the cursor moves; `cursor_conflict` when another attempt went on
 */
export async function landPage(pool: pg.Pool, vault: Vault, sync: Sync, page: IncomingPage): Promise<void> {
  const pages = [...sync.plans.values()].map((plan) => preparePage(vault.naming, sync, plan, page));
  const cursorKey = await vault.purposeKey(pool, "cursor");
  const quarantineKey = await vault.purposeKey(pool, "quarantine");
  const rejected = pages.flatMap((each) => each.rejected);
  const excess = pages.find((each) => hasTooManyRejects(sync, each));
  if (excess) {
    await inTransaction(pool, (client) => quarantine(client, vault, quarantineKey, rejected));
    const { source, name, rejectLimit } = excess.plan.stream;
    throw new CodedError(
      "too_many_rejects",
      `more than ${rejectLimit * 100}% of the records of ${source}.${name} break its schema; see miette quarantine list, mend the schema or the source, and sync again`,
      { retryable: false },
    );
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      const landed = await inTransaction(pool, async (client) => {
        const epoch = await readEpoch(client);
        const results: Landed[] = [];
        for (const each of pages) results.push(await landStream(pool, client, vault, sync, each));
        await quarantine(client, vault, quarantineKey, rejected);
        await moveCursor(client, sync, page.cursor, cursorKey);
        for (const { plan, counts } of results) {
          await writeAudit(client, sync, plan.stream.name, counts);
          if (!(await holdsDefinition(client, plan))) throw schemaChanged(plan);
        }
        if ((await lockEpoch(client)) !== epoch) {
          throw new CodedError("epoch_conflict", "an erasure began while the page was landing", { retryable: true });
        }
        return results;
      });
      sync.position += 1;
      sync.cursor = page.cursor;
      for (const { plan, counts, keys } of landed) {
        vault.remember(keys);
        addCounts(sync, plan.stream.name, counts);
      }
      return;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "epoch_conflict" || attempt === EPOCH_ATTEMPTS) throw error;
    }
  }
}

function schemaChanged({ stream }: StreamPlan): CodedError {
  return new CodedError(
    "schema_changed",
    `the schema of ${stream.source}.${stream.name} has changed while its records were landing`,
    { retryable: true },
  );
}

interface Landed {
  plan: StreamPage["plan"];
  counts: StreamCounts;
  /** Data keys to remember once the transaction has committed. */
  keys: Map<string, Buffer>;
}

async function landStream(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  sync: Sync,
  page: StreamPage,
): Promise<Landed> {
  const { plan } = page;
  const { changed, superseded, unchanged } = await leaveOutUnchanged(client, page);
  const identifiers = new Map<string, Identifier>();
  const rows = [...changed, ...superseded].map((prepared) => tokenise(plan, vault.naming, prepared, identifiers));
  const keys = await vault.identifierKeys(client, identifiers);
  const streamKey = await vault.purposeKey(pool, `stream:${plan.stream.source}.${plan.stream.name}`);
  const reload = sync.reload.get(plan.stream.name) ?? 1;
  const landing = rows.map((row, index): LandingRow => ({
    columns: row.columns,
    recordKey: row.prepared.recordKey,
    version: row.prepared.version,
    contentHash: row.prepared.contentHash,
    sealed: sealSecret(plan, row, row.ownerToken === null ? streamKey : (keys.get(row.ownerToken) as Buffer)),
    ownerToken: row.ownerToken,
    reload,
    isSuperseded: index >= changed.length,
  }));
  const { inserted, updated } = await mergeRows(client, plan, landing);
  await countUndeclared(client, vault, plan, rows);
  if (plan.stream.mode === "snapshot") await recordSeen(client, sync, page);
  if (inserted + updated > 0) await recordChange(client, `raw.${plan.table}`);
  return {
    plan,
    keys,
    counts: {
      ...NO_COUNTS,
      pages: 1,
      rowsRead: page.read,
      inserted,
      updated,
      unchanged,
      rejected: page.rejected.length,
    },
  };
}

/**
 * Parts a page's records into those that may change the table, those that a newer version in the same page supersedes,
 * and the count of those that stand there already.
 */
async function leaveOutUnchanged(
  client: pg.ClientBase,
  { plan, current, superseded }: StreamPage,
): Promise<{ changed: Prepared[]; superseded: Prepared[]; unchanged: number }> {
  if (current.length === 0) return { changed: [], superseded, unchanged: 0 };
  const { rows } = await client.query<{ record_key: string; content_hash: string }>(
    `select record_key, content_hash from ${quoteName("raw", plan.table)} where record_key = any($1::uuid[]) and deleted_at is null`,
    [current.map(({ recordKey }) => recordKey)],
  );
  const standing = new Map(rows.map((row) => [row.record_key, row.content_hash]));
  const changed = current.filter(({ recordKey, contentHash }) => standing.get(recordKey) !== contentHash);
  return { changed, superseded, unchanged: current.length - changed.length };
}

function hasTooManyRejects(sync: Sync, page: StreamPage): boolean {
  const { name, rejectLimit } = page.plan.stream;
  const before = sync.counts.get(name) ?? NO_COUNTS;
  const read = before.rowsRead + page.read;
  return (
    page.rejected.length > 0 && read >= JUDGED_AFTER && before.rejected + page.rejected.length > rejectLimit * read
  );
}

async function recordSeen(client: pg.ClientBase, sync: Sync, page: StreamPage): Promise<void> {
  const keys = [...page.current.map(({ recordKey }) => recordKey), ...page.rejectedKeys];
  await client.query(
    "insert into ops.snapshot_keys (sync_id, source, stream, record_key) select $1, $2, $3, unnest($4::uuid[]) on conflict do nothing",
    [sync.id, sync.source, page.plan.stream.name, keys],
  );
}

/** A field's name can hold an e-mail too, so it is scrubbed like any open string. */
async function countUndeclared(
  client: pg.ClientBase,
  vault: Vault,
  plan: StreamPage["plan"],
  rows: Tokenised[],
): Promise<void> {
  const counts = new Map<string, number>();
  for (const { prepared } of rows) {
    for (const name of prepared.undeclared) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
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
