import { pipeline } from "node:stream/promises";
import { setImmediate as othersTurn } from "node:timers/promises";
import type { ClientBase } from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";

// Postgres' binary COPY: uuids are 16 bytes instead of 36 characters and nothing needs escaping on either side.
const HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);
const CHUNK_BYTES = 1 << 18;

/** One row as it arrives; valid during the callback. Field i is `buffer` from `starts[i]` to `ends[i]`, or NULL if `ends[i]` is -1. */
interface IncomingRow {
  buffer: Buffer;
  starts: number[];
  ends: number[];
}

/**
 * Streams the rows of a query, which is code and holds no values of others.
 * @returns how many rows came
 */
export async function copyOut(client: ClientBase, query: string, onRow: (row: IncomingRow) => void): Promise<number> {
  const stream = client.query(copyTo(`copy (${query}) to stdout (format binary)`));
  const row: IncomingRow = { buffer: Buffer.alloc(0), starts: [], ends: [] };
  let rest = Buffer.alloc(0);
  let count = 0;
  let toSkip = HEADER.length;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const buffer = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    let at = Math.min(toSkip, buffer.length);
    toSkip -= at;
    row.buffer = buffer;
    for (let end = parseRow(row, at); end !== -1; end = parseRow(row, at)) {
      onRow(row);
      count++;
      at = end;
    }
    // What is left is less than a row, or the two bytes of the end.
    rest = Buffer.from(buffer.subarray(at));
  }
  return count;
}

/** Reads the row that begins at `at`; returns where it ends, or -1 if it isn't all there or the rows have ended. */
function parseRow(row: IncomingRow, at: number): number {
  const { buffer, starts, ends } = row;
  if (at + 2 > buffer.length) return -1;
  const fields = buffer.readInt16BE(at);
  if (fields === -1) return -1;
  let next = at + 2;
  for (let i = 0; i < fields; i++) {
    if (next + 4 > buffer.length) return -1;
    const length = buffer.readInt32BE(next);
    next += 4;
    starts[i] = next;
    ends[i] = length === -1 ? -1 : next + length;
    next += Math.max(length, 0);
    if (next > buffer.length) return -1;
  }
  return next;
}

/** Writes the fields of rows in the order of the table's columns. */
export class OutgoingRows {
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #used = 0;

  constructor() {
    this.#used = HEADER.copy(this.#chunk);
  }

  /** Opens a row. */
  row(fields: number): void {
    this.#reserve(2);
    this.#chunk[this.#used++] = fields >> 8;
    this.#chunk[this.#used++] = fields;
  }

  /** A uuid's 16 bytes, or the bytes of a text in UTF-8; null is NULL. */
  bytes(value: Uint8Array | null): void {
    if (value === null) this.#length(-1, 0);
    else this.slice(value, 0, value.length);
  }

  /** A field's bytes, without an object for them: a million of those cost half a second. */
  slice(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.#length(length, length);
    // Below some hundred bytes a loop is faster than a call of `set`.
    const chunk = this.#chunk;
    const shift = this.#used - start;
    for (let i = start; i < end; i++) chunk[shift + i] = source[i]!;
    this.#used += length;
  }

  boolean(value: boolean): void {
    this.#length(1, 1);
    this.#chunk[this.#used++] = value ? 1 : 0;
  }

  integer(value: number): void {
    this.#length(4, 4);
    this.#used = this.#chunk.writeInt32BE(value, this.#used);
  }

  bigint(value: number): void {
    this.#length(8, 8);
    this.#used = this.#chunk.writeInt32BE(Math.floor(value / 2 ** 32), this.#used);
    this.#used = this.#chunk.writeUInt32BE(value >>> 0, this.#used);
  }

  /** What was written since the last call, if that makes a chunk worth sending. */
  takeFull(): Buffer | null {
    return this.#used < CHUNK_BYTES / 2 ? null : this.#take();
  }

  /** The rest, closed. */
  takeLast(): Buffer {
    this.row(-1);
    return this.#take();
  }

  #length(length: number, bytes: number): void {
    this.#reserve(4 + bytes);
    const chunk = this.#chunk;
    const at = this.#used;
    chunk[at] = length >> 24;
    chunk[at + 1] = length >> 16;
    chunk[at + 2] = length >> 8;
    chunk[at + 3] = length;
    this.#used = at + 4;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#chunk.length) return;
    const wider = Buffer.allocUnsafe(Math.max(this.#chunk.length * 2, this.#used + bytes));
    this.#chunk.copy(wider, 0, 0, this.#used);
    this.#chunk = wider;
  }

  #take(): Buffer {
    const taken = this.#chunk.subarray(0, this.#used);
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#used = 0;
    return taken;
  }
}

/**
 * Streams `count` rows into a table; `writeRow` opens row i and writes each of its fields.
 * @param relation quoted name of a table made in the same transaction: its rows are written frozen, so that no later reader has to mark them
 */
export async function copyIn(
  client: ClientBase,
  relation: string,
  count: number,
  writeRow: (rows: OutgoingRows, i: number) => void,
): Promise<void> {
  async function* chunks(): AsyncGenerator<Buffer> {
    const rows = new OutgoingRows();
    for (let i = 0; i < count; i++) {
      writeRow(rows, i);
      const chunk = rows.takeFull();
      if (!chunk) continue;
      yield chunk;
      // As long as the server takes chunks at once, nothing else (another session's answer, a heartbeat) would have its turn.
      await othersTurn();
    }
    yield rows.takeLast();
  }
  await pipeline(chunks, client.query(copyFrom(`copy ${relation} from stdin (format binary, freeze)`)));
}
