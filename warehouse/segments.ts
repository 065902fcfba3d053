import type { ClientBase, Pool } from "pg";
import { UserError } from "../domain/errors.ts";
import { parseSegmentHeader } from "./models/header.ts";
import { loadMartSelect, type MartSelect } from "./models/mart-select.ts";
import { statementError } from "./models/sql-errors.ts";
import type { ModelFile } from "./models/syntax.ts";

/** A set of customers, as a file of `sql/segments/` describes it. */
export interface Segment {
  name: string;
  /** What it is for. */
  description: string;
  /** The purpose that its customers must have consented to before anybody else learns of them; null: for analysis. */
  consent: string | null;
  select: MartSelect;
}

/** Type oid of uuid. */
const UUID = 2950;
const UNDEFINED_TABLE = "42P01";

export interface SegmentPreview {
  customers: number;
  /** Of all customers, 0 to 1; null where there are none. */
  share: number | null;
  sample: string[];
}

/** Reads `segments/<name>.sql`. Throws UserErrors with file and line. */
export function loadSegment(file: ModelFile): Segment {
  const name = /^segments\/([a-z][a-z0-9_]*)\.sql$/.exec(file.path)?.[1];
  if (!name)
    throw new UserError("a segment is a file segments/<name>.sql, named in snake_case.", { file: file.displayFile });
  const { description, consent, purpose, follows } = parseSegmentHeader(file);
  const select = loadMartSelect(file, purpose, follows);
  const names = select.output.columns.map((column) => column.name);
  if (select.output.isComplete && (names.length !== 1 || names[0] !== "customer_id")) {
    throw new UserError(`returns ${names.join(", ")}; a segment's select returns customer_id alone.`, {
      file: file.displayFile,
    });
  }
  return { name, description, consent, select };
}

/**
 * The customers of a segment, each once; ids that are no customer's, such as ops.nobody(), are left out.
 * Throws UserErrors with file and line where the select is wrong or returns anything else than customer ids.
 *
 * @param sql the segment's select, reading from where it is to read
 * @param customers `mart.dim_customers`, or where a build has computed it
 * @returns a select of `customer_id`
 */
export async function membersQuery(
  client: ClientBase,
  segment: Segment,
  sql: string,
  customers: string,
): Promise<string> {
  const file = segment.select.statement.file.displayFile;
  const probe = `select * from (\n${sql}\n) as segment limit 0`;
  const { fields } = await client.query(probe).catch((error: unknown) => {
    if ((error as { code?: string }).code === UNDEFINED_TABLE)
      throw new UserError('reads a relation that no build has made yet; run "miette build" first.', { file });
    throw statementError(error, { file, sql: probe, linesBefore: 1 });
  });
  if (fields.length !== 1 || fields[0]!.name !== "customer_id") {
    const names = fields.map((field) => field.name).join(", ");
    throw new UserError(`returns ${names}; a segment's select returns customer_id alone.`, { file });
  }
  if (fields[0]!.dataTypeID !== UUID) {
    throw new UserError("returns a customer_id that is no uuid; return the customer_id of a relation of the mart.", {
      file,
    });
  }
  return customersAmong(sql, customers);
}

/** The same for a select that is known to be right. */
export function customersAmong(sql: string, customers: string): string {
  return `select customers.customer_id from ${customers} as customers
    join (select distinct segment.customer_id from (\n${sql}\n) as segment) as chosen
      on chosen.customer_id = customers.customer_id`;
}

/** Sizes and shares of the segments that were published last, by name; empty before the first build. */
export async function readSegments(pool: Pool): Promise<Map<string, { customers: number; share: number | null }>> {
  try {
    const { rows } = await pool.query<{ segment: string; customers: number; share: number | null }>(
      "select segment, customers::float8 as customers, share::float8 as share from mart.dim_segments",
    );
    return new Map(rows.map(({ segment, ...size }) => [segment, size]));
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return new Map();
    throw error;
  }
}

/**
 * Computes a segment now, over the mart as it was published last.
 * @param pool connections of the analyst, who can read the mart and nothing else
 * @param sampleSize how many ids to show: ids are random, so the first ones are a sample, and the same at every call
 */
export async function previewSegment(pool: Pool, segment: Segment, sampleSize = 10): Promise<SegmentPreview> {
  const { file, bytes } = segment.select.statement;
  const client = await pool.connect();
  try {
    await client.query("begin isolation level repeatable read read only; set local search_path = pg_catalog");
    const members = await membersQuery(client, segment, bytes.toString("utf8"), "mart.dim_customers");
    const { rows } = await client.query<SegmentPreview>(
      `with members as materialized (${members})
       select (select count(*) from members)::float8 as customers,
         (select count(*) from members)::float8 / nullif((select count(*) from mart.dim_customers), 0) as share,
         array(select customer_id::text from members order by customer_id limit ${Math.trunc(sampleSize)}) as sample`,
    );
    return rows[0]!;
  } catch (error) {
    throw error instanceof UserError ? error : statementError(error, { file: file.displayFile });
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}
