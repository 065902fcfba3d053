import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import type { Json } from "../../domain/streams.ts";
import { open, seal } from "../../privacy/sealing.ts";
import type { Sync } from "./sync.ts";

/** The audit names pages by sync and position, so the positions of a sync's shares lie this far apart. */
export const SHARE_POSITIONS = 1_000_000_000;

/**
 * The name of the cursor that a sync moves.
 * @param base the stream, or `` for a source whose streams share a cursor
 */
export function cursorNameOf(
  base: string,
  sync: { id: string; window: { from?: string; to?: string } | null; share?: number },
): string {
  if (sync.window) return `${base}@${sync.window.from ?? ""}/${sync.window.to ?? ""}`;
  return sync.share === undefined ? base : `${base}#${sync.id}/${sync.share}`;
}

/** A keyset cursor can hold an e-mail, so cursors are sealed, each bound to its name. */
export function sealCursor(key: Buffer, source: string, cursorName: string, cursor: Json): Buffer {
  return seal(key, cursorIdentity(source, cursorName), JSON.stringify(cursor));
}

export function openCursor(key: Buffer, source: string, cursorName: string, sealed: Buffer | null): Json | null {
  return sealed === null
    ? null
    : (JSON.parse(open(key, cursorIdentity(source, cursorName), sealed).toString("utf8")) as Json);
}

function cursorIdentity(source: string, cursorName: string): string {
  return `cursor:${source}.${cursorName}`;
}

/**
 * Moves the sync's cursor in the caller's transaction, if it still stands where this process left it.
 * @throws CodedError cursor_conflict where another attempt has moved it
 */
export async function moveCursor(client: pg.ClientBase, sync: Sync, cursor: Json, key: Buffer): Promise<void> {
  const { rowCount } = await client.query(
    `update ops.cursors set sealed = $3, position = position + 1, updated_at = now()
     where source = $1 and stream = $2 and position = $4`,
    [sync.source, sync.cursorName, sealCursor(key, sync.source, sync.cursorName, cursor), sync.position],
  );
  if (rowCount !== 1) {
    throw new CodedError(
      "cursor_conflict",
      `another sync has moved the cursor of ${sync.source} ${sync.cursorName}`.trimEnd(),
      { retryable: true },
    );
  }
}
