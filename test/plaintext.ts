import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, openAsBlob } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline as stream } from "node:stream/promises";
import { BlobReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";
import type { Client } from "@temporalio/client";
import type { DataConverter, Payload } from "@temporalio/common";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import type pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { quoteName } from "../warehouse/database.ts";

/**
 * Which of the values stand in the files below some folders, and in which files. Bytes are compared, so compressed ones
 * hide theirs: tables are read back as text ({@link dumpTables}) beside the files they are kept in.
 */
export async function findValues(folders: string[], values: Iterable<string>): Promise<Map<string, Set<string>>> {
  const directory = await mkdtemp(join(tmpdir(), "miette-values-"));
  try {
    const patterns = join(directory, "values");
    await writeFile(patterns, [...new Set(values)].map((value) => `${value}\n`).join(""));
    const grep = spawn("grep", ["-raoF", "--null", "-f", patterns, ...folders], {
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(grep, "close");
    const found = new Map<string, Set<string>>();
    for await (const line of createInterface({ input: grep.stdout })) {
      const [file, value] = line.split("\0") as [string, string];
      found.set(value, (found.get(value) ?? new Set()).add(file));
    }
    // 1: nothing found. 2: a file went away while grep read.
    const [code] = (await ended) as [number | null];
    if (code === null || code > 2) throw new Error(`grep ended with ${code}`);
    return found;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Writes every row of every table and catalogue as text, as `pg_dump --data-only` does: a file per table. */
export async function dumpTables(pool: pg.Pool, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const client = await pool.connect();
  try {
    const { rows: tables } = await client.query<{ schema: string; name: string }>(
      `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p', 'm') and n.nspname <> 'information_schema'`,
    );
    // Bytes that are letters are shown as such.
    await client.query("set bytea_output = 'escape'");
    for (const { schema, name } of tables) {
      const rows = client.query(copyTo(`copy (select * from ${quoteName(schema, name)}) to stdout`));
      await stream(rows, createWriteStream(join(folder, `${schema}.${name}`)));
    }
    await client.query("reset bytea_output");
  } finally {
    client.release();
  }
}

/** Writes what is in a zip, as a workbook is one, inflated into a folder, as files side by side. */
export async function inflate(zip: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const reader = new ZipReader(new BlobReader(await openAsBlob(zip)), { useWebWorkers: false });
  for (const entry of await reader.getEntries()) {
    if (entry.directory) continue;
    await writeFile(join(folder, encodeURIComponent(entry.filename)), await entry.getData(new Uint8ArrayWriter()));
  }
  await reader.close();
}

/**
 * Writes all that Temporal knows of each workflow and schedule: its history and description, and each payload in them
 * as it is kept and as it opens. A file per run and schedule.
 */
export async function dumpTemporal(client: Client, converter: DataConverter, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const [codec] = converter.payloadCodecs ?? [];
  const write = async (name: string, known: object, text: string): Promise<void> => {
    const payloads = payloadsIn(known);
    const opened = (await codec?.decode(payloads)) ?? [];
    const shown = [...payloads, ...opened].map((payload) => Buffer.from(payload.data ?? []).toString("utf8"));
    await writeFile(join(folder, encodeURIComponent(name)), [text, ...shown].join("\n"));
  };
  for await (const { workflowId, runId } of client.workflow.list()) {
    const handle = client.workflow.getHandle(workflowId, runId);
    const [history, { raw }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
    await write(`${workflowId}-${runId}`, { history, raw }, historyToJSON(history) + JSON.stringify(raw));
  }
  for await (const { scheduleId } of client.schedule.list()) {
    const { raw } = await client.schedule.getHandle(scheduleId).describe();
    await write(`schedule-${scheduleId}`, raw, JSON.stringify(raw));
  }
}

/** Every payload anywhere in what Temporal answers: what has metadata and data. */
export function payloadsIn(value: unknown): Payload[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [];
  if ("metadata" in value && "data" in value) return [value as Payload];
  return Object.values(value).flatMap(payloadsIn);
}
