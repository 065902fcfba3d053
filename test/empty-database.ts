import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

export interface EmptyDatabase {
  url: string;
  /** The superuser's connection to it. */
  client: pg.Client;
  drop(): Promise<void>;
}

/** A database of the file's own that holds nothing yet: a source to read from. */
export async function createEmptyDatabase(): Promise<EmptyDatabase> {
  const server = inject("postgresUrl");
  const name = `t_${randomBytes(6).toString("hex")}`;
  await runAsAdmin(server, `create database ${name}`);
  const url = `${server}/${name}`;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    url,
    client,
    async drop() {
      await client.end();
      await runAsAdmin(server, `drop database ${name} with (force)`);
    },
  };
}

async function runAsAdmin(server: string, sql: string): Promise<void> {
  const admin = new pg.Client({ connectionString: `${server}/postgres` });
  await admin.connect();
  await admin.query(sql);
  await admin.end();
}
