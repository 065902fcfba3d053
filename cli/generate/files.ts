import { createWriteStream } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export type Format = "csv" | "jsonl";

/** Text is handed to the file in pieces of about this many characters. */
const PIECE = 1 << 16;

/**
 * Writes records to a file, never more than a piece of it in memory, and under another name until it is whole.
 * @param records all with the same fields in the same order; null is an empty field in CSV
 * @returns how many there were
 */
export async function writeRecords(
  path: string,
  format: Format,
  records: Iterable<Record<string, unknown>>,
): Promise<number> {
  let count = 0;
  function* pieces(): Generator<string> {
    let piece = "";
    for (const record of records) {
      if (format === "jsonl") piece += `${JSON.stringify(record)}\n`;
      else {
        if (count === 0) piece += `${Object.keys(record).join(",")}\n`;
        piece += `${Object.values(record).map(csvField).join(",")}\n`;
      }
      count += 1;
      if (piece.length >= PIECE) {
        yield piece;
        piece = "";
      }
    }
    yield piece;
  }
  await mkdir(dirname(path), { recursive: true });
  await pipeline(Readable.from(pieces(), { objectMode: true }), createWriteStream(`${path}.part`));
  await rename(`${path}.part`, path);
  return count;
}

/** RFC 4180. */
function csvField(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
