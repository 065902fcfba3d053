import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import type { Servers } from "./servers.ts";
import { timed } from "./row.ts";

const EVENT_COLUMNS = `event_id uuid, event text, occurred_at timestamptz, device_id text, email text, page_url text,
  referrer text, product_sku text, properties jsonb`;

/** What is measured beside us: a database of its own in the same server, used as from psql. */
export async function withReference<T>(
  { admin, superuserUrl }: Servers,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  await admin.query("drop database if exists reference with (force)");
  await admin.query("create database reference");
  const url = new URL(superuserUrl);
  url.pathname = "/reference";
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
    await admin.query("drop database reference with (force)");
  }
}

/** The CSV files of a stream of a generated project, in order. */
export async function filesOf(project: string, stream: string): Promise<string[]> {
  const folder = join(project, "data", stream);
  return (await readdir(folder)).toSorted().map((name) => join(folder, name));
}

/** R: seconds of a COPY of the events' CSV file into typed columns, the properties as jsonb, without a key. */
export async function copyEvents({ admin }: Servers, client: pg.Client, project: string): Promise<number> {
  await client.query(`drop table if exists events; create table events (${EVENT_COLUMNS})`);
  await admin.query("checkpoint");
  const files = await filesOf(project, "events");
  return (await timed(async () => await copyFile(client, files[0]!, "events"))).seconds;
}

/** Makes the key of the copied events, for what is merged into them. */
export async function keyEvents(client: pg.Client): Promise<void> {
  await client.query("alter table events add primary key (event_id)");
}

/** Seconds of a bare upsert of a CSV file into the copied events: COPY into a temporary table, one statement, commit. */
export async function upsertEvents({ admin }: Servers, client: pg.Client, file: string): Promise<number> {
  await admin.query("checkpoint");
  const { seconds } = await timed(async () => {
    await client.query("begin; create temporary table page (like events) on commit drop");
    await copyFile(client, file, "page");
    await client.query(
      `insert into events select * from page
       on conflict (event_id) do update set (event, occurred_at, device_id, email, page_url, referrer, product_sku, properties)
         = row (excluded.event, excluded.occurred_at, excluded.device_id, excluded.email, excluded.page_url, excluded.referrer,
             excluded.product_sku, excluded.properties)`,
    );
    await client.query("commit");
  });
  return seconds;
}

async function copyFile(client: pg.Client, file: string, table: string): Promise<void> {
  const copy = client.query(copyFrom(`copy ${table} from stdin (format csv, header)`));
  await pipeline(createReadStream(file, { highWaterMark: 1 << 18 }), copy);
}
