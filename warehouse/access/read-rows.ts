import type pg from "pg";
import { columnName, LANDING_COLUMNS } from "../../domain/columns.ts";
import { rawTableName, type StreamSchema } from "../../domain/streams.ts";
import { open } from "../../privacy/sealing.ts";
import { quoteName } from "../database.ts";
import { quoteRelation } from "../models/build.ts";
import { rowIdentity } from "../landing/seal.ts";
import type { Vault } from "../vault.ts";
import type { Redactor } from "./redact.ts";
import type { SubjectRows } from "./subject-rows.ts";

/** Rows held in memory at a time. */
const BATCH = 500;

/** What one row holds of the person, in plain; for who writes it into the archive. */
export interface SubjectRow {
  /** Null: not of a source, but made of what sources have sent. */
  source: string | null;
  stream: string | null;
  /** When it landed, ISO 8601; null: derived. */
  landedAt: string | null;
  /** Whether the record is another person's, and only carries an identifier of this one. */
  isAnothers: boolean;
  fields: Record<string, unknown>;
}

/** Technical columns that say nothing of the person. */
const HIDDEN = new Set<string>(LANDING_COLUMNS.filter((name) => name !== "record_key" && name !== "deleted_at"));

interface LandedStream {
  source: string;
  stream: string;
  schema: StreamSchema;
  streamKey: Buffer;
}

/** Reads the rows of one relation in batches, opened and redacted. */
export class RowReader {
  readonly #client: pg.ClientBase;
  readonly #vault: Vault;
  readonly #redactor: Redactor;
  readonly #streams: ReadonlyMap<string, LandedStream>;

  private constructor(
    client: pg.ClientBase,
    vault: Vault,
    redactor: Redactor,
    streams: ReadonlyMap<string, LandedStream>,
  ) {
    this.#client = client;
    this.#vault = vault;
    this.#redactor = redactor;
    this.#streams = streams;
  }

  static async open(pool: pg.Pool, client: pg.ClientBase, vault: Vault, redactor: Redactor): Promise<RowReader> {
    const { rows } = await client.query<{ source: string; stream: string; schema: StreamSchema }>(
      "select source, stream, schema from ops.streams order by source, stream",
    );
    const streams = new Map<string, LandedStream>();
    for (const each of rows) {
      const streamKey = await vault.purposeKey(pool, `stream:${each.source}.${each.stream}`);
      streams.set(rawTableName(each.source, each.stream), { ...each, streamKey });
    }
    return new RowReader(client, vault, redactor, streams);
  }

  async *read({ relation, where, kind }: SubjectRows): AsyncGenerator<SubjectRow[]> {
    const cursor = quoteName(`subject of ${relation}`.slice(0, 60));
    const table = relation.slice(relation.indexOf(".") + 1).replace(/__history$/, "");
    const owned =
      kind === "record"
        ? `coalesce((select s.is_anothers from subject_rows as s where s.relation = 'raw.' || $$${table}$$ and s.record_key = t.record_key), true)`
        : "false";
    await this.#client.query(
      `declare ${cursor} no scroll cursor for
       select to_jsonb(t) as row, ${kind === "record" ? "t.sealed" : "null::bytea"} as sealed, ${owned} as is_anothers
       from ${quoteRelation(relation)} as t where ${where}`,
    );
    for (;;) {
      const { rows } = await this.#client.query<Stored>(`fetch ${BATCH} from ${cursor}`);
      if (rows.length === 0) break;
      yield kind === "record" ? await this.#openRecords(table, rows) : rows.map(({ row }) => this.#derived(row));
    }
    await this.#client.query(`close ${cursor}`);
  }

  async #openRecords(table: string, rows: Stored[]): Promise<SubjectRow[]> {
    const stream = this.#streams.get(table) as LandedStream;
    const owners = rows.flatMap(({ row, is_anothers }) => {
      const owner = is_anothers ? null : row["owner_token"];
      return typeof owner === "string" ? [owner] : [];
    });
    const keys = await this.#vault.openIdentifiers(this.#client, [...new Set(owners)]);
    return rows.map(({ row, sealed, is_anothers: isAnothers }) => {
      const owner = row["owner_token"] as string | null;
      const key = owner === null ? stream.streamKey : keys.get(owner)?.key;
      const secret =
        sealed === null || isAnothers || !key
          ? {}
          : (JSON.parse(
              open(
                key,
                rowIdentity(table, row["record_key"] as string, row["content_hash"] as string),
                sealed,
              ).toString("utf8"),
            ) as Secret);
      return {
        source: stream.source,
        stream: stream.stream,
        landedAt: row["landed_at"] as string,
        isAnothers,
        fields: isAnothers ? this.#ownIdentifiers(stream, row) : this.#fields(stream, row, secret),
      };
    });
  }

  /** Of another's record: the identifiers of this person alone. */
  #ownIdentifiers({ schema }: LandedStream, row: Record<string, unknown>): Record<string, unknown> {
    const shown = Object.entries(schema.properties).flatMap(([field, { identifier }]) => {
      const token = identifier ? row[columnName(field)] : null;
      return typeof token === "string" && this.#redactor.isOwn(token)
        ? [[field, this.#redactor.identifier(token)]]
        : [];
    });
    return Object.fromEntries(shown) as Record<string, unknown>;
  }

  #fields({ schema }: LandedStream, row: Record<string, unknown>, secret: Secret): Record<string, unknown> {
    const fields: Record<string, unknown> = { record_key: row["record_key"] };
    const seen = new Set(["record_key", ...Object.keys(schema.match_keys ?? {}).map((key) => columnName(key))]);
    for (const [field, { personal, identifier }] of Object.entries(schema.properties)) {
      const column = columnName(field);
      seen.add(column);
      const value = row[column];
      if (personal && identifier && typeof value === "string") fields[field] = this.#redactor.identifier(value);
      else if (personal) fields[field] = this.#redactor.value(secret.personal?.[field] ?? null);
      else fields[field] = this.#redactor.value(value ?? null);
    }
    for (const [column, value] of Object.entries(row)) {
      if (!seen.has(column) && !HIDDEN.has(column)) fields[column] = this.#redactor.value(value);
    }
    if (secret.undeclared) fields["undeclared"] = this.#redactor.value(secret.undeclared);
    return fields;
  }

  #derived(row: Record<string, unknown>): SubjectRow {
    return {
      source: null,
      stream: null,
      landedAt: null,
      isAnothers: false,
      fields: this.#redactor.value(row) as Record<string, unknown>,
    };
  }
}

interface Stored {
  row: Record<string, unknown>;
  sealed: Buffer | null;
  is_anothers: boolean;
}

interface Secret {
  personal?: Record<string, unknown>;
  undeclared?: Record<string, unknown>;
}
