import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { inject } from "vitest";

/**
 * Runs a SQL file, as `psql --file` would, in the database of a URL: statements, `\connect` and other meta commands
 * (left out: the URL decides the database, as do `create database` and `drop database`), and COPY with its data inline.
 */
export async function restoreSqlFile(url: string, path: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const part of splitParts(await readFile(path, "utf8"))) {
      if (part.data === undefined) await client.query(part.sql);
      else await pipeline(Readable.from([part.data]), client.query(copyFrom(part.sql)));
    }
  } finally {
    await client.end();
  }
}

/** A database of the suite's server with what a SQL file makes. */
export async function restoreDatabase(path: string): Promise<{ url: string; drop(): Promise<void> }> {
  const server = inject("postgresUrl");
  const name = `source_${randomBytes(5).toString("hex")}`;
  const admin = new pg.Client({ connectionString: `${server}/postgres` });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  await restoreSqlFile(`${server}/${name}`, path);
  return {
    url: `${server}/${name}`,
    async drop() {
      const client = new pg.Client({ connectionString: `${server}/postgres` });
      await client.connect();
      await client.query(`drop database ${name} with (force)`);
      await client.end();
    },
  };
}

interface Part {
  sql: string;
  /** What follows `copy … from stdin`. */
  data?: string;
}

function splitParts(text: string): Part[] {
  const parts: Part[] = [];
  let sql: string[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const flush = () => {
    if (sql.join("").trim() !== "") parts.push({ sql: sql.join("\n") });
    sql = [];
  };
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string;
    // Settings that a server since Postgres 12 does not know any more; a database of one's own is not dropped from within.
    if (/^\\|^\s*(drop|create) database |^set default_with_oids/i.test(line)) continue;
    sql.push(line);
    if (!/^copy .* from stdin;?\s*$/i.test(line)) continue;
    const copy = sql.pop() as string;
    flush();
    const end = lines.indexOf("\\.", index + 1);
    const data = lines.slice(index + 1, end === -1 ? lines.length : end);
    parts.push({ sql: copy, data: data.map((row) => `${row}\n`).join("") });
    index = end === -1 ? lines.length : end;
  }
  flush();
  return parts;
}
