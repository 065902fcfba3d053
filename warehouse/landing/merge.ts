import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import type pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { quoteName } from "../database.ts";
import { ADDED, addedText, type LandingRow } from "./landing-row.ts";
import type { StreamPlan } from "./plan.ts";
import type { Prepared } from "./record.ts";

/** Rows that are written together. */
export interface LandingRows {
  rows: LandingRow[];
  /** What is sealed of a row, or null. */
  seal(row: LandingRow): Buffer | null;
  /** How often the stream was read from its start. */
  reload: number;
  /** Records of which another version in this page is the newer one: these go to history only. */
  older: ReadonlySet<Prepared>;
}

const UNIQUE_VIOLATION = "23505";
/** A COPY buffer is handed over at about this many bytes, so that a page of large values is never one string. */
const CHUNK = 1 << 18;

/**
 * Writes rows into the stream's table itself, where none of their records may stand yet: half the work of a merge.
 * In the order of their keys, else two loaders that bring the same records wait for each other.
 * @returns false, with nothing written, where one of the records does stand there
 */
export async function insertNew(client: pg.ClientBase, plan: StreamPlan, landing: LandingRows): Promise<boolean> {
  const list = [...plan.columns.map(({ name }) => name), ...ADDED].map((name) => quoteName(name)).join(", ");
  const rows = landing.rows.toSorted((a, b) => (a.prepared.recordKey < b.prepared.recordKey ? -1 : 1));
  await client.query("savepoint page");
  try {
    const copy = client.query(copyFrom(`copy ${quoteName("raw", plan.table)} (${list}) from stdin`));
    await pipeline(Readable.from(copyText({ ...landing, rows }, false)), copy);
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    await client.query("rollback to savepoint page");
    return false;
  }
  await client.query("release savepoint page");
  return true;
}

/**
 * Merges a page's rows in the caller's transaction. Of two versions the greater (reload, version, content_hash) is
 * current and the other goes to history; a stream without versions that is no log takes what arrived last.
 * Rows equal to the current one must have been left out before: even `ON CONFLICT … WHERE false` locks and writes WAL.
 * @returns rows that are new, and rows that replaced another version (or were deleted and are back)
 */
export async function mergeRows(
  client: pg.ClientBase,
  plan: StreamPlan,
  landing: LandingRows,
): Promise<{ inserted: number; updated: number }> {
  if (landing.rows.length === 0) return { inserted: 0, updated: 0 };
  const columns = [...plan.columns.map(({ name }) => name), ...ADDED];
  const table = quoteName("raw", plan.table);
  await client.query(`create temporary table page (like ${table}) on commit drop`);
  // `like` copies NOT NULL of the columns that the merge itself fills.
  await client.query(
    `alter table page drop column record_seq, drop column deleted_at, drop column landed_xid, drop column landed_at,
     add column is_superseded boolean not null`,
  );
  const list = columns.map((name) => quoteName(name)).join(", ");
  const copy = client.query(copyFrom(`copy page (${list}, is_superseded) from stdin`));
  await pipeline(Readable.from(copyText(landing, true)), copy);
  const { rows: counts } = await client.query<{ inserted: number; updated: number }>(mergeStatement(plan, columns));
  await client.query("drop table page");
  return counts[0] ?? { inserted: 0, updated: 0 };
}

function mergeStatement(plan: StreamPlan, columns: string[]): string {
  const table = quoteName("raw", plan.table);
  const history = quoteName("raw", `${plan.table}__history`);
  const names = columns.map((name) => quoteName(name));
  const list = names.join(", ");
  const page = names.map((name) => `page.${name}`).join(", ");
  const set = names.filter((name) => name !== '"record_key"').map((name) => `${name} = excluded.${name}`);
  const isLastArrivalCurrent = plan.version === null && plan.stream.mode !== "append";
  // A null version is older than any.
  const order = (row: string): string =>
    `(${row}.reload, coalesce(${row}.version, '-infinity'::numeric), ${row}.content_hash)`;
  const wins = (row: string): string =>
    isLastArrivalCurrent
      ? `(${row}.content_hash <> current.content_hash or current.deleted_at is not null)`
      : `(${order(row)} > ${order("current")} or (current.deleted_at is not null and ${order(row)} >= ${order("current")}))`;
  const old = names.map((name, index) => `old.${name} as old_${index}`).join(", ");
  const oldList = names.map((_, index) => `old_${index}`).join(", ");
  return `
    with newer as (
      select ${page} from page left join ${table} as current on current.record_key = page.record_key
      where not page.is_superseded and (current.record_key is null or ${wins("page")})
      order by page.record_key
    ), merged as (
      insert into ${table} as current (${list}) select * from newer
      on conflict (record_key) do update
        set ${set.join(", ")}, landed_at = now(), deleted_at = null, landed_xid = pg_current_xact_id()
        where ${wins("excluded")}
      returning new.record_key as key, new.content_hash as hash, old.landed_at as old_landed_at, ${old}
    ), replaced as (
      insert into ${history} (${list}, landed_at)
      select ${oldList}, old_landed_at from merged
      where old_landed_at is not null and old_${columns.indexOf("content_hash")} <> hash
      on conflict do nothing
    ), older as (
      insert into ${history} (${list})
      select ${page} from page left join merged on merged.key = page.record_key and merged.hash = page.content_hash
      left join ${table} as current on current.record_key = page.record_key and current.content_hash = page.content_hash
      where merged.key is null and current.record_key is null
      on conflict do nothing
    )
    select count(*) filter (where old_landed_at is null)::int as inserted,
           count(*) filter (where old_landed_at is not null)::int as updated
    from merged`;
}

/**
 * COPY's text format.
 * @param tells whether each row says at its end that it is superseded
 */
function* copyText({ rows, seal, reload, older }: LandingRows, tells: boolean): Generator<Buffer> {
  let text = "";
  for (const row of rows) {
    text += row.text + addedText(row, seal(row), reload);
    text += tells ? `\t${older.has(row.prepared)}\n` : "\n";
    if (text.length > CHUNK) {
      yield Buffer.from(text);
      text = "";
    }
  }
  if (text !== "") yield Buffer.from(text);
}
