import type pg from "pg";
import { ZipWriter } from "@zip.js/zip.js";
import { CodedError, UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { csvLine } from "../../domain/csv-line.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { planErasures } from "../erasure/plan.ts";
import { resolveScope } from "../erasure/scope.ts";
import type { Graph } from "../models/graph.ts";
import { openIdentifiers, openSealed, readRequest, type RequestSecret } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { readAbout } from "./about.ts";
import { accessPage, textOf } from "./page.ts";
import { RowReader, type SubjectRow } from "./read-rows.ts";
import { makeRedactor } from "./redact.ts";
import { ACCESS_SCHEMA } from "./schema.ts";
import { findSubjectRows, underSnapshot, type SubjectRows } from "./subject-rows.ts";

/** Ciphertext of one row of `privacy.archive_parts`. */
const PART_BYTES = 1 << 18;
/** What is told as data; the rest is told under headings, or is a working copy. */
const SHOWN: readonly SubjectRows["kind"][] = ["record", "derived", "own"];

export interface ArchiveInput {
  requestId: string;
  project: Project;
  graph: Graph;
  facts: ReadonlyMap<string, readonly string[]>;
  /** Until when it can be had. */
  expiresAt: Date;
}

export interface Archive {
  bytes: number;
  /** Rows by file. */
  files: Record<string, number>;
  /** Values of other people that were left out. */
  redacted: number;
}

/**
 * Writes the archive of one person, encrypted as it is made: what is in plain is in this process' memory alone, some
 * hundred rows at a time. Done again it begins anew. One that an erasure came between is not kept.
 * @throws UserErrors where a relation holds something of the person and can't be traversed: nothing is left out silently
 */
export async function writeArchive(pool: pg.Pool, vault: Vault, input: ArchiveInput): Promise<Archive> {
  const { requestId, project, graph, facts } = input;
  const { kind } = await readRequest(pool, requestId);
  const finished = await readFinished(pool, requestId);
  if (finished) return finished;
  const secret = await openSealed<RequestSecret>(pool, vault, requestId, "secret");
  if (!secret?.passphrase)
    throw new UserError("its archive was made before, and its passphrase is gone", { key: "request" });
  const epoch = await inTransaction(pool, readEpoch);
  const scope = await resolveScope(pool, vault, await openIdentifiers(pool, vault, requestId));
  const [plan] = await planErasures(pool, graph, { facts, rules: new Map(), categories: new Map() }, [scope]);
  const errors = plan?.errors ?? [];
  if (errors.length > 0) throw new UserErrors(errors.map((sentence) => new UserError(sentence)));
  await pool.query("delete from privacy.archives where request_id = $1", [requestId]);
  await pool.query("insert into privacy.archives (request_id, subject_tokens) values ($1, $2)", [
    requestId,
    scope.tokens,
  ]);
  const archive = await underSnapshot(pool, async (client) => {
    const { found, errors: strange } = await findSubjectRows(client, graph, facts, scope);
    if (strange.length > 0) throw new UserErrors(strange.map((sentence) => new UserError(sentence)));
    const redactor = await makeRedactor(
      client,
      vault,
      scope,
      await carriedTokens(client, found),
      project.defaultCountry,
    );
    const about = await readAbout(client, vault, { ...input, kind, scope, found });
    const reader = await RowReader.open(pool, client, vault, redactor);
    // Portability is what the person has given (GDPR article 20), access all.
    const tables = found.filter((each) => SHOWN.includes(each.kind) && (kind === "access" || each.kind === "record"));
    const sink = new PartSink(pool, requestId);
    const zip = new ZipWriter(sink.stream, {
      password: secret.passphrase as string,
      encryptionStrength: 3,
      useWebWorkers: false,
    });
    const add = (name: string, pieces: AsyncIterable<string>): Promise<unknown> => zip.add(name, byteStream(pieces));
    await add(
      "index.html",
      accessPage(about, tables, (table) => reader.read(table)),
    );
    await add(
      "data.json",
      asJson(about, tables, (table) => reader.read(table)),
    );
    await add("schema.json", one(`${JSON.stringify(ACCESS_SCHEMA, null, 2)}\n`));
    const names = fileNames(tables.map(({ relation }) => relation));
    for (const [index, table] of tables.entries()) await add(`tables/${names[index]}.csv`, asCsv(reader.read(table)));
    await zip.close();
    return {
      bytes: sink.bytes,
      files: Object.fromEntries(tables.map(({ relation, rows }) => [relation, rows])),
      redacted: redactor.count,
    };
  });
  await inTransaction(pool, async (client) => {
    await client.query(
      "update privacy.archives set finished_at = now(), expires_at = $2, bytes = $3, files = $4, redacted = $5 where request_id = $1",
      [requestId, input.expiresAt, archive.bytes, JSON.stringify(archive.files), archive.redacted],
    );
    await client.query("update privacy.requests set secret = null where request_id = $1", [requestId]);
    if ((await lockEpoch(client)) !== epoch) {
      throw new CodedError("epoch_conflict", "an erasure began while an archive was being written", {
        retryable: true,
      });
    }
  });
  return archive;
}

/** The archive of an attempt that was cut off after it had been written. */
async function readFinished(pool: pg.Pool, requestId: string): Promise<Archive | null> {
  const { rows } = await pool.query<Archive>(
    `select bytes::float8 as bytes, files, redacted::float8 as redacted from privacy.archives
     where request_id = $1 and finished_at is not null`,
    [requestId],
  );
  return rows[0] ?? null;
}

/** Identifiers on the person's own records, theirs and others'. */
async function carriedTokens(client: pg.ClientBase, found: readonly SubjectRows[]): Promise<string[]> {
  const tokens = new Set<string>();
  for (const { relation, where, kind } of found) {
    if (kind !== "record") continue;
    const [schema, name] = relation.split(".") as [string, string];
    const { rows } = await client.query<{ token: string }>(
      `select distinct token from "${schema}"."${name}" as t cross join lateral (
         select m[1] as token from regexp_matches(t::text, '[a-z][a-z0-9_]*_[0-9a-f]{32}', 'g') as m) as carried
       where ${where} and token not in (select token from erased_tokens) limit 10000`,
    );
    for (const { token } of rows) tokens.add(token);
  }
  return [...tokens];
}

type Read = (table: SubjectRows) => AsyncIterable<SubjectRow[]>;

async function* asJson(about: unknown, tables: readonly SubjectRows[], read: Read): AsyncGenerator<string> {
  yield `{"about":${JSON.stringify(about)},"tables":[`;
  for (const [index, table] of tables.entries()) {
    yield `${index > 0 ? "," : ""}\n{"relation":${JSON.stringify(table.relation)},"rows":[`;
    let isFirst = true;
    for await (const rows of read(table)) {
      yield `${isFirst ? "" : ","}\n${rows.map((row) => JSON.stringify(row)).join(",\n")}`;
      isFirst = false;
    }
    yield "]}";
  }
  yield "]}\n";
}

/** One line per row; the columns are those of the first, since all rows of a relation have the same. */
async function* asCsv(batches: AsyncIterable<SubjectRow[]>): AsyncGenerator<string> {
  let head: string[] | null = null;
  for await (const rows of batches) {
    for (const row of rows) {
      if (head === null) {
        head = Object.keys(row.fields);
        yield csvLine(["source", "stream", "landed_at", ...head]);
      }
      yield csvLine([
        row.source ?? "",
        row.stream ?? "",
        row.landedAt ?? "",
        ...head.map((name) => textOf(row.fields[name])),
      ]);
    }
  }
}

// oxlint-disable-next-line require-await
async function* one(piece: string): AsyncGenerator<string> {
  yield piece;
}

/** No path in an archive leads out of the folder that it is opened in, and none is there twice. */
function fileNames(relations: readonly string[]): string[] {
  const safe = relations.map((each) => each.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/\.{2,}/g, "_"));
  return safe.map((name, index) => (safe.indexOf(name) === index ? name : `${name}_${index}`));
}

function byteStream(pieces: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await iterator.next();
      if (done) controller.close();
      else if (value !== "") controller.enqueue(encoder.encode(value));
      else await this.pull?.(controller);
    },
  });
}

/** Takes ciphertext and keeps it in rows, so that any worker can hand it out, and an erasure finds it. */
class PartSink {
  readonly stream: WritableStream<Uint8Array>;
  bytes = 0;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #part = 0;

  constructor(pool: pg.Pool, requestId: string) {
    const flush = async (): Promise<void> => {
      if (this.#heldBytes === 0) return;
      await pool.query("insert into privacy.archive_parts (request_id, part, content) values ($1, $2, $3)", [
        requestId,
        this.#part,
        Buffer.concat(this.#held),
      ]);
      this.#part += 1;
      this.#held = [];
      this.#heldBytes = 0;
    };
    this.stream = new WritableStream({
      write: async (chunk) => {
        this.bytes += chunk.length;
        this.#held.push(Uint8Array.from(chunk));
        this.#heldBytes += chunk.length;
        if (this.#heldBytes >= PART_BYTES) await flush();
      },
      close: flush,
    });
  }
}
