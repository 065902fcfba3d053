import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { inject } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { formatDay, parisDay } from "../demo/calendar.ts";
import { storeFiles, writeFiles } from "../demo/files.ts";
import { generateStore, type Store } from "../demo/generate.ts";
import { fillShop } from "../demo/shop.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

/**
 * The demo store of today with its pipeline, which has not run yet; its shop is a database that nobody else uses.
 * @param project a folder that holds the demo's project with more to it
 * @param options as openPipeline takes them
 */
export async function openDemo(
  project = join(PACKAGE_DIRECTORY, "demo"),
  options: Parameters<typeof openPipeline>[3] = {},
): Promise<{ pipeline: Pipeline; store: Store; environment: Record<string, string>; close(): Promise<void> }> {
  const store = generateStore({ date: formatDay(parisDay(Date.now())) });
  const directory = await mkdtemp(join(tmpdir(), "miette-demo-"));
  await writeFiles(storeFiles(store), directory);
  const server = inject("postgresUrl");
  const name = `shop_${randomBytes(5).toString("hex")}`;
  await withClient(`${server}/postgres`, (client) => client.query(`create database ${name}`));
  await withClient(`${server}/${name}`, (client) => fillShop(store, client));
  const environment = { MIETTE_DEMO_DATA: directory, SHOP_DATABASE_URL: `${server}/${name}` };
  const pipeline = await openPipeline(project, environment, undefined, options);
  return {
    pipeline,
    store,
    environment,
    async close() {
      await pipeline.close();
      await withClient(`${server}/postgres`, (client) => client.query(`drop database ${name} with (force)`));
      await rm(directory, { recursive: true });
    },
  };
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
