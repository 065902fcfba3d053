import type pg from "pg";
import type { StreamCounts, SyncUnitInput } from "../../domain/runs.ts";
import type { Json } from "../../domain/streams.ts";
import { CodedError } from "../../domain/errors.ts";
import { open, seal } from "../../privacy/sealing.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import { Occurrences } from "./record.ts";
import { followSchema } from "./table.ts";

export type SyncKind = SyncUnitInput["kind"];

/** One sync of a stream, or of all streams of a source whose cursor they share, as it goes on in this process. */
export interface Sync {
  id: string;
  kind: SyncKind;
  source: string;
  /** Which cursor the sync moves: a stream's name, `` for the source's own, or that of one window. */
  cursorName: string;
  plans: Map<string, StreamPlan>;
  reload: Map<string, number>;
  occurrences: Map<string, Occurrences>;
  /** The cursor's position that this process knows: moved by compare-and-set, so that a fenced-off attempt can't go on. */
  position: number;
  cursor: Json | null;
  /** By stream, over all attempts. */
  counts: Map<string, StreamCounts>;
  window: { from?: string; to?: string } | null;
}

export const NO_COUNTS: StreamCounts = {
  pages: 0,
  rowsRead: 0,
  inserted: 0,
  updated: 0,
  unchanged: 0,
  deleted: 0,
  rejected: 0,
};

export interface BeginSync {
  id: string;
  kind: SyncKind;
  source: string;
  cursorScope: "stream" | "source";
  plans: StreamPlan[];
  window: { from?: string; to?: string } | null;
}

/**
 * Begins a sync, or takes up one that was interrupted: the same id goes on from its last committed page. Raw tables are
 * made to follow their schemas.
 */
export async function beginSync(pool: pg.Pool, vault: Vault, request: BeginSync): Promise<Sync> {
  const first = request.plans[0];
  if (!first) throw new Error("a sync needs a stream");
  const base = request.cursorScope === "stream" ? first.stream.name : "";
  const cursorName = request.window ? `${base}@${request.window.from ?? ""}/${request.window.to ?? ""}` : base;
  const key = await vault.purposeKey(pool, "cursor");
  const reload = new Map<string, number>();
  for (const plan of request.plans) {
    reload.set(plan.stream.name, await inTransaction(pool, (client) => followSchema(client, plan)));
  }
  return await inTransaction(pool, async (client) => {
    const counts = new Map<string, StreamCounts>();
    let hasLanded = false;
    for (const plan of request.plans) {
      await client.query(
        `insert into ops.syncs (sync_id, source, stream, kind) values ($1, $2, $3, $4)
         on conflict (sync_id, source, stream) do update set status = 'running', error_code = null, finished_at = null
           where ops.syncs.status = 'failed'`,
        [request.id, request.source, plan.stream.name, request.kind],
      );
      const before = await readCounts(client, request.id, request.source, plan.stream.name);
      hasLanded ||= before.pages > 0;
      counts.set(plan.stream.name, before);
    }
    await client.query("insert into ops.cursors (source, stream) values ($1, $2) on conflict do nothing", [
      request.source,
      cursorName,
    ]);
    const startsOver =
      !hasLanded && (request.kind !== "incremental" || request.plans.some((plan) => plan.stream.mode === "snapshot"));
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
    const { position = "0", sealed = null } = rows[0] ?? {};
    return {
      id: request.id,
      kind: request.kind,
      source: request.source,
      cursorName,
      plans: new Map(request.plans.map((plan) => [plan.stream.name, plan])),
      reload,
      occurrences: new Map(request.plans.map((plan) => [plan.stream.name, new Occurrences()])),
      position: Number(position),
      cursor:
        sealed === null
          ? null
          : (JSON.parse(open(key, cursorIdentity(request.source, cursorName), sealed).toString("utf8")) as Json),
      counts,
      window: request.window,
    };
  });
}

/**
 * Moves the sync's cursor in the caller's transaction, if it still stands where this process left it.
 * @throws CodedError cursor_conflict where another attempt has moved it
 */
export async function moveCursor(client: pg.ClientBase, sync: Sync, cursor: Json, key: Buffer): Promise<void> {
  const { rowCount } = await client.query(
    `update ops.cursors set sealed = $3, position = position + 1, updated_at = now()
     where source = $1 and stream = $2 and position = $4`,
    [
      sync.source,
      sync.cursorName,
      seal(key, cursorIdentity(sync.source, sync.cursorName), JSON.stringify(cursor)),
      sync.position,
    ],
  );
  if (rowCount !== 1) {
    throw new CodedError(
      "cursor_conflict",
      `another sync has moved the cursor of ${sync.source} ${sync.cursorName}`.trimEnd(),
      { retryable: true },
    );
  }
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

/** Adds a committed page to what this process knows of the sync. */
export function addCounts(sync: Sync, stream: string, page: StreamCounts): void {
  const before = sync.counts.get(stream) ?? NO_COUNTS;
  const sum = { ...before };
  for (const name of Object.keys(sum) as (keyof StreamCounts)[]) sum[name] += page[name];
  sync.counts.set(stream, sum);
}

function cursorIdentity(source: string, cursorName: string): string {
  return `cursor:${source}.${cursorName}`;
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

async function readCounts(client: pg.ClientBase, id: string, source: string, stream: string): Promise<StreamCounts> {
  const { rows } = await client.query<Record<string, string>>(
    "select pages, rows_read, inserted, updated, unchanged, deleted, rejected from ops.syncs where sync_id = $1 and source = $2 and stream = $3",
    [id, source, stream],
  );
  const row = rows[0] ?? {};
  return {
    pages: Number(row["pages"]),
    rowsRead: Number(row["rows_read"]),
    inserted: Number(row["inserted"]),
    updated: Number(row["updated"]),
    unchanged: Number(row["unchanged"]),
    deleted: Number(row["deleted"]),
    rejected: Number(row["rejected"]),
  };
}
