import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { UserError } from "../domain/errors.ts";
import type { Store } from "./generate.ts";
import { shopRows } from "./shop-rows.ts";

/** The shop's own database, and the role by which it is read. */
export const SHOP_DATABASE = "shop";
export const READER = "miette_reader";

/** Loaded under this name and renamed at the end, so that a database named `shop` is always whole. */
const LOADING = "shop_loading";

/**
 * The generation that the cluster's database `shop` holds, as `loadShop` was told; null where there is no such database.
 * @throws UserError where a database of this name was not made by the demo
 */
export async function loadedGeneration(serverUrl: string): Promise<string | null> {
  return await withClient(serverUrl, "postgres", async (client) => {
    const { rows } = await client.query<{ comment: string | null }>(
      "select shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1",
      [SHOP_DATABASE],
    );
    if (!rows[0]) return null;
    const generation = rows[0].comment?.startsWith(COMMENT) ? rows[0].comment.slice(COMMENT.length) : null;
    if (generation === null) {
      throw new UserError(
        `The server of the demo's shop has a database "${SHOP_DATABASE}" that the demo did not make; rename it or give the demo another server.`,
      );
    }
    return generation;
  });
}

const COMMENT = "The demo's electronics shop, generation ";

/** Makes the database `shop` anew with its tables, rows and grants to the reader. */
export async function loadShop(store: Store, serverUrl: string, generation: string): Promise<void> {
  await withClient(serverUrl, "postgres", async (client) => {
    await client.query(`drop database if exists ${LOADING} with (force)`);
    await client.query(`create database ${LOADING} encoding 'UTF8' template template0`);
  });
  await withClient(serverUrl, LOADING, async (client) => {
    await client.query("begin");
    await fillShop(store, client);
    await client.query(`grant select on all tables in schema public to ${READER}`);
    await client.query("commit");
    await client.query("analyze");
  });
  await withClient(serverUrl, "postgres", async (client) => {
    await client.query(`comment on database ${LOADING} is ${client.escapeLiteral(COMMENT + generation)}`);
    await client.query(`revoke connect on database ${LOADING} from public`);
    await client.query(`grant connect on database ${LOADING} to ${READER}`);
    await client.query(`drop database if exists ${SHOP_DATABASE} with (force)`);
    await client.query(`alter database ${LOADING} rename to ${SHOP_DATABASE}`);
  });
}

/** Makes the shop's tables with their rows in an empty database. */
export async function fillShop(store: Store, client: pg.ClientBase): Promise<void> {
  await client.query(await readFile(new URL("./shop.sql", import.meta.url), "utf8"));
  for (const [table, rows] of shopRows(store)) {
    await pipeline(Readable.from(rows.map(copyLine)), client.query(copyFrom(`copy ${table} from stdin`)));
  }
}

/** Makes sure that the reader exists, can only read, and has this password. */
export async function ensureReader(serverUrl: string, password: string): Promise<void> {
  await withClient(serverUrl, "postgres", async (client) => {
    const { rowCount } = await client.query("select from pg_roles where rolname = $1", [READER]);
    if (!rowCount) await client.query(`create role ${READER}`);
    await client.query(`alter role ${READER} login password ${client.escapeLiteral(password)}`);
    await client.query(`alter role ${READER} set default_transaction_read_only = on`);
  });
}

/** The URL by which the reader reaches the shop. */
export function readerUrl(serverUrl: string, password: string): string {
  const url = new URL(serverUrl);
  url.username = READER;
  url.password = password;
  url.pathname = `/${SHOP_DATABASE}`;
  return url.href;
}

async function withClient<Result>(
  serverUrl: string,
  database: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A row in COPY's text format. */
function copyLine(row: readonly (string | number | null)[]): string {
  const field = (value: string | number | null) =>
    value === null
      ? "\\N"
      : String(value).replace(
          /[\\\t\n\r]/g,
          (character) => `\\${{ "\\": "\\", "\t": "t", "\n": "n", "\r": "r" }[character]}`,
        );
  return `${row.map(field).join("\t")}\n`;
}
