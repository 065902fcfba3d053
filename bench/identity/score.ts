import { readFile, writeFile } from "node:fs/promises";
import { parse } from "csv-parse/sync";
import type { Pool } from "pg";

/** A file of records whose people are known. */
export interface LabelledData {
  /** CSV of the records. */
  records: string;
  /** The column that names a record. */
  id: string;
  /** CSV that says who each record is: the same file, or another with the same id. */
  truth: string;
  /** The column that names the person there. */
  entity: string;
}

/** Of all pairs of records: how many that were found are right, how many that are right were found. */
export interface PairScore {
  records: number;
  people: number;
  precision: number;
  recall: number;
  f1: number;
}

/** Writes the records as a source would have them: without the column that tells the people apart. */
export async function withoutTruth({ records, id, entity }: LabelledData, out: string): Promise<void> {
  const rows = await readCsv(records);
  const columns = Object.keys(rows[0] ?? {}).filter((name) => name !== entity || name === id);
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const lines = rows.map((row) => columns.map((name) => (row[name] ? quote(row[name]) : "")).join(","));
  await writeFile(out, `${[columns.join(","), ...lines].join("\n")}\n`);
}

/**
 * Scores the published people against the truth, which is read now and not before.
 * @param pool the warehouse, as its owner
 * @param table the raw table with the records
 */
export async function scorePairs(pool: Pool, table: string, { id, truth, entity }: LabelledData): Promise<PairScore> {
  const { rows } = await pool.query<{ id: string; person: string }>(
    `select r.${id}::text as id, coalesce(o.customer_id, r.record_key)::text as person
     from ${table} as r left join core.record_owners as o using (record_key)`,
  );
  const entities = new Map((await readCsv(truth)).map((row) => [row[id]!, row[entity]!]));
  const found = group(rows, ({ person }) => person);
  const expected = group(rows, (row) => entities.get(row.id) ?? `${row.id} is in no truth`);
  const both = group(rows, (row) => `${row.person} ${entities.get(row.id)}`);
  const [right, claimed, real] = [pairs(both), pairs(found), pairs(expected)];
  const precision = claimed === 0 ? 1 : right / claimed;
  const recall = real === 0 ? 1 : right / real;
  return {
    records: rows.length,
    people: found.size,
    precision,
    recall,
    f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall),
  };
}

function group<T>(items: readonly T[], nameOf: (item: T) => string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const item of items) sizes.set(nameOf(item), (sizes.get(nameOf(item)) ?? 0) + 1);
  return sizes;
}

function pairs(sizes: ReadonlyMap<string, number>): number {
  return [...sizes.values()].reduce((sum, size) => sum + (size * (size - 1)) / 2, 0);
}

async function readCsv(file: string): Promise<Record<string, string>[]> {
  return parse(await readFile(file), { columns: true, trim: true, bom: true }) as Record<string, string>[];
}
