import type pg from "pg";
import type { Json } from "../../domain/streams.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import { cursorNameOf, openCursor, sealCursor, SHARE_POSITIONS } from "./cursor.ts";

/** How the stream's connector parts its cursor and puts it together again. */
export interface Shares {
  split(cursor: Json | null): Promise<Json[]>;
  join(cursor: Json | null, shares: Json[]): Json;
}

/**
 * Gives every share of a stream a cursor of its own. Shares that a sync left behind which never ended are joined first.
 * @param isFull read everything again, whatever the stream's cursor says
 * @returns how many shares there are; 0 where the stream is not worth parting
 */
export async function planShares(
  pool: pg.Pool,
  vault: Vault,
  { source, stream, syncId, isFull }: { source: string; stream: string; syncId: string; isFull: boolean },
  shares: Shares,
): Promise<number> {
  const key = await vault.purposeKey(pool, "cursor");
  const cursor = await inTransaction(pool, (client) => joinAll(client, key, source, stream, shares));
  const parts = await shares.split(isFull ? null : cursor);
  if (parts.length < 2) return 0;
  const names = parts.map((_, share) => cursorNameOf(stream, { id: syncId, window: null, share }));
  await pool.query(
    `insert into ops.cursors (source, stream, position, sealed)
     select $1, stream, position, sealed from unnest($2::text[], $3::bigint[], $4::bytea[]) as new (stream, position, sealed)`,
    [
      source,
      names,
      parts.map((_, share) => share * SHARE_POSITIONS),
      parts.map((part, share) => sealCursor(key, source, names[share] as string, part)),
    ],
  );
  return parts.length;
}

/** Puts the cursors of a stream's shares together, at the end of their sync: what they have read, the stream has read. */
export async function joinShares(
  pool: pg.Pool,
  vault: Vault,
  { source, stream }: { source: string; stream: string },
  join: Shares["join"],
): Promise<void> {
  const key = await vault.purposeKey(pool, "cursor");
  await inTransaction(pool, (client) => joinAll(client, key, source, stream, { join }));
}

/** An attempt that still reads one of the shares finds its cursor gone when it lands a page, and so lands nothing more. */
async function joinAll(
  client: pg.ClientBase,
  key: Buffer,
  source: string,
  stream: string,
  { join }: Pick<Shares, "join">,
): Promise<Json | null> {
  const { rows } = await client.query<{ stream: string; sealed: Buffer | null }>(
    `select stream, sealed from ops.cursors where source = $1 and (stream = $2 or starts_with(stream, $2 || '#'))
     order by stream for update`,
    [source, stream],
  );
  const opened = rows.map((row) => ({ name: row.stream, cursor: openCursor(key, source, row.stream, row.sealed) }));
  const own = opened.find(({ name }) => name === stream)?.cursor ?? null;
  const parts = opened.flatMap(({ name, cursor }) => (name === stream || cursor === null ? [] : [cursor]));
  if (parts.length === 0) return own;
  const joined = join(own, parts);
  await client.query(
    `insert into ops.cursors as cursor (source, stream, sealed) values ($1, $2, $3)
     on conflict (source, stream) do update set sealed = excluded.sealed, position = cursor.position + 1, updated_at = now()`,
    [source, stream, sealCursor(key, source, stream, joined)],
  );
  await client.query("delete from ops.cursors where source = $1 and starts_with(stream, $2 || '#')", [source, stream]);
  return joined;
}
