import type pg from "pg";
import type { StreamCounts, SyncUnitInput } from "../../domain/runs.ts";
import type { Json } from "../../domain/streams.ts";
import { CodedError } from "../../domain/errors.ts";
import { loadRemains } from "../../privacy/remains.ts";
import { quoteName } from "../database.ts";
import type { TableRules } from "../retention/rules.ts";
import type { Vault } from "../vault.ts";
import { endFormerAttempts, inAttempt } from "./attempt.ts";
import { readCounts, readShareCounts } from "./counts.ts";
import { cursorNameOf, openCursor } from "./cursor.ts";
import type { StreamPlan } from "./plan.ts";
import { followSchema } from "./table.ts";

export type SyncKind = SyncUnitInput["kind"];

/** One sync of a stream, or of all streams of a source whose cursor they share, as it goes on in this process. */
export interface Sync {
  /** Raw tables whose records outlive their person, with the open columns that they lose then. Asked for once somebody was erased. */
  facts(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Whether the project has rules of how long records are kept. */
  hasRetention: boolean;
  /** These rules by raw table. */
  rules(): Promise<ReadonlyMap<string, TableRules>>;
  id: string;
  kind: SyncKind;
  source: string;
  /** Which cursor the sync moves: a stream's name, `` for the source's own, or that of one window. */
  cursorName: string;
  plans: Map<string, StreamPlan>;
  reload: Map<string, number>;
  /** The cursor's position that this process knows: moved by compare-and-set, so that a fenced-off attempt can't go on. */
  position: number;
  cursor: Json | null;
  /** Streams whose next page is taken to hold nothing but new records, since the table is empty or the last page did. */
  expectsNew: Set<string>;
  /** By stream, over all attempts. */
  counts: Map<string, StreamCounts>;
  /** Events that were added to the consent ledger, by this process. */
  signals: number;
  window: { from?: string; to?: string } | null;
}

export interface BeginSync {
  id: string;
  kind: SyncKind;
  source: string;
  cursorScope: "stream" | "source";
  plans: StreamPlan[];
  window: { from?: string; to?: string } | null;
  /** Which share of the stream is synced; absent: all that its own cursor says. */
  share?: number;
  /** As `Sync.facts`; absent: every record is its person's own. */
  facts?: Sync["facts"];
  /** As `Sync.rules`; absent: the project has none. */
  rules?: Sync["rules"];
}

/**
 * Begins a sync, or takes up one that was interrupted: the same id goes on from its last committed page. Raw tables are
 * made to follow their schemas.
 */
export async function beginSync(pool: pg.Pool, vault: Vault, request: BeginSync): Promise<Sync> {
  const first = request.plans[0];
  if (!first) throw new Error("a sync needs a stream");
  const base = request.cursorScope === "stream" ? first.stream.name : "";
  const { share } = request;
  const cursorName = cursorNameOf(base, request);
  const unit = { id: request.id, source: request.source, cursorName };
  await endFormerAttempts(pool, unit);
  const key = await vault.purposeKey(pool, "cursor");
  await loadRemains(request.plans.flatMap(({ fields }) => fields.map(({ schema }) => schema)));
  const reload = new Map<string, number>();
  for (const plan of request.plans) {
    reload.set(plan.stream.name, await inAttempt(pool, unit, (client) => followSchema(client, plan)));
  }
  return await inAttempt(pool, unit, async (client) => {
    const counts = new Map<string, StreamCounts>();
    let hasLanded = false;
    for (const plan of request.plans) {
      await client.query(
        `insert into ops.syncs (sync_id, source, stream, kind) values ($1, $2, $3, $4)
         on conflict (sync_id, source, stream) do update set status = 'running', error_code = null, finished_at = null
           where ops.syncs.status = 'failed'`,
        [request.id, request.source, plan.stream.name, request.kind],
      );
      const before =
        share === undefined
          ? await readCounts(client, request.id, request.source, plan.stream.name)
          : await readShareCounts(client, request.id, request.source, plan.stream.name, share);
      hasLanded ||= before.pages > 0;
      counts.set(plan.stream.name, before);
    }
    // A share's cursor was made when the sync was planned; where it is gone, another sync has taken over what it read.
    if (share === undefined) {
      await client.query("insert into ops.cursors (source, stream) values ($1, $2) on conflict do nothing", [
        request.source,
        cursorName,
      ]);
    }
    const startsOver =
      share === undefined &&
      !hasLanded &&
      (request.kind !== "incremental" || request.plans.some((plan) => plan.stream.mode === "snapshot"));
    if (startsOver) {
      await client.query(
        "update ops.cursors set sealed = null, position = position + 1 where source = $1 and stream = $2",
        [request.source, cursorName],
      );
    }
    const { rows } = await client.query<{ position: string; sealed: Buffer | null }>(
      "select position, sealed from ops.cursors where source = $1 and stream = $2",
      [request.source, cursorName],
    );
    const [row] = rows;
    if (!row) {
      throw new CodedError("sync_superseded", `another sync of ${request.source}.${base} has taken over`, {
        retryable: false,
      });
    }
    return {
      facts: request.facts ?? (async () => new Map()),
      hasRetention: request.rules !== undefined,
      rules: request.rules ?? (async () => new Map()),
      id: request.id,
      kind: request.kind,
      source: request.source,
      cursorName,
      plans: new Map(request.plans.map((plan) => [plan.stream.name, plan])),
      reload,
      position: Number(row.position),
      cursor: openCursor(key, request.source, cursorName, row.sealed),
      expectsNew: await emptyTables(client, request.plans),
      counts,
      signals: 0,
      window: request.window,
    };
  });
}

async function emptyTables(client: pg.ClientBase, plans: StreamPlan[]): Promise<Set<string>> {
  const empty = new Set<string>();
  for (const plan of plans) {
    const { rows } = await client.query(`select from ${quoteName("raw", plan.table)} limit 1`);
    if (rows.length === 0) empty.add(plan.stream.name);
  }
  return empty;
}

/** Writes a page's audit line, and adds it to the sync's counts. */
export async function writeAudit(
  client: pg.ClientBase,
  sync: Sync,
  stream: string,
  counts: StreamCounts,
): Promise<void> {
  const { rowsRead, inserted, updated, unchanged, rejected } = counts;
  await client.query(
    `insert into ops.pages (sync_id, source, position, stream, rows_read, inserted, updated, unchanged, rejected)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [sync.id, sync.source, sync.position + 1, stream, rowsRead, inserted, updated, unchanged, rejected],
  );
  await client.query(
    `update ops.syncs set pages = pages + 1, rows_read = rows_read + $4, inserted = inserted + $5, updated = updated + $6,
       unchanged = unchanged + $7, rejected = rejected + $8
     where sync_id = $1 and source = $2 and stream = $3`,
    [sync.id, sync.source, stream, rowsRead, inserted, updated, unchanged, rejected],
  );
}

/** Marks a stream's sync failed, with the code of the error; the detail of rejected records lies in quarantine. */
export async function failSync(
  pool: pg.Pool,
  failed: { id: string; source: string; stream: string; kind: SyncKind; code: string },
): Promise<void> {
  // A sync can fail before it has begun, as when its table can't follow the schema.
  await pool.query(
    `insert into ops.syncs as sync (sync_id, source, stream, kind, status, error_code, finished_at)
     values ($1, $2, $3, $5, 'failed', $4, now())
     on conflict (sync_id, source, stream) do update
       set status = 'failed', error_code = excluded.error_code, finished_at = now() where sync.status <> 'done'`,
    [failed.id, failed.source, failed.stream, failed.code, failed.kind],
  );
}
