import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

/** Several files of some size of one stream, and a table read by spans: both by several activities at once. */
const MEGABYTE = 1024 * 1024;
let directory: string;
let pipeline: Pipeline;
let shop: TestDatabase;

const writeNotes = (name: string, first: number, megabytes: number, last = "") =>
  writeFile(
    join(directory, "data", name),
    [
      "id,at,note",
      ...Array.from({ length: megabytes }, (_, index) => `${first + index},2024-01-01,${"n".repeat(MEGABYTE)}`),
      last,
    ].join("\n"),
  );

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-shares-"));
  await mkdir(join(directory, "schemas"));
  await mkdir(join(directory, "data"));
  await writeFile(
    join(directory, "schemas/notes.yaml"),
    `type: object
required: [id]
properties:
  id: { type: integer }
  at: { type: string, format: date }
  note: { type: [string, "null"], personal: free_text }
`,
  );
  await writeFile(
    join(directory, "miette.yaml"),
    `name: shares
currency: EUR
time_zone: UTC
sources:
  log:
    connector: csv
    config: { path: "data/notes-*.csv" }
    streams:
      notes: { mode: append, key: [id], schema: schemas/notes.yaml }
  shop:
    connector: postgres
    config: { url: "\${SHOP_URL}" }
    streams:
      entries: { mode: append, key: [id], window: at, schema: schemas/notes.yaml }
`,
  );
  shop = await createTestDatabase();
  await shop.pool.query(
    `create table entries as select id, date '2024-01-01' + id % 40 as at, null::text as note from generate_series(1, 400) as id`,
  );
  pipeline = await openPipeline(directory, { SHOP_URL: shop.url });
});
afterAll(async () => {
  await pipeline.close();
  await shop.drop();
  await rm(directory, { recursive: true });
});

const stored = async () =>
  (await pipeline.pool.query("select count(*)::int as rows, count(distinct id)::int as ids from raw.log__notes"))
    .rows[0];
const cursors = async () =>
  (await pipeline.pool.query("select stream from ops.cursors where source = 'log' order by 1")).rows.map(
    ({ stream }) => stream as string,
  );

test("large files of one stream are read at the same time, reported as one, and then known by the stream's cursor", async () => {
  await writeNotes("notes-1.csv", 1, 33);
  await writeNotes("notes-2.csv", 101, 33);
  const report = await pipeline.sync({ source: "log" });
  expect(report.streams).toMatchObject([{ stream: "notes", rowsRead: 66, inserted: 66, rejected: 0 }]);
  expect(await stored()).toEqual({ rows: 66, ids: 66 });
  expect(await cursors()).toEqual(["notes"]);
  const { rows } = await pipeline.pool.query("select status, inserted::int from ops.syncs where source = 'log'");
  expect(rows).toEqual([{ status: "done", inserted: 66 }]);

  const handle = pipeline.client.workflow.getHandle("sync:log");
  const { events } = await handle.fetchHistory();
  const started = events?.filter(({ activityTaskScheduledEventAttributes: a }) => a?.activityType?.name === "syncUnit");
  expect(started).toHaveLength(2);
  const metadata = await handle.query<{ currentDetails: string }>("__temporal_workflow_metadata");
  expect(metadata.currentDetails).toMatch(/\| notes \| \d+ \| 66 \| 0 \| done \|/);

  expect((await pipeline.sync({ source: "log" })).streams).toMatchObject([{ rowsRead: 0 }]);
  expect((await pipeline.sync({ source: "log", full: true })).streams).toMatchObject([
    { rowsRead: 66, unchanged: 66, inserted: 0 },
  ]);
});

test("a share that can't go on fails the sync by name, and what the others read is not read again", async () => {
  await writeNotes("notes-3.csv", 201, 33, '1,2024-01-01,"never closed');
  await writeNotes("notes-4.csv", 301, 33);
  await expect(pipeline.sync({ source: "log" })).rejects.toMatchObject({
    cause: {
      cause: { type: "source_rejected", message: expect.stringMatching(/^data\/notes-3\.csv line 35: the quote/) },
    },
  });
  expect(await cursors()).toEqual(["notes"]);
  const { rows } = await pipeline.pool.query(
    "select status, error_code from ops.syncs where source = 'log' order by started_at desc limit 1",
  );
  expect(rows).toEqual([{ status: "failed", error_code: "source_rejected" }]);
  await writeNotes("notes-3.csv", 201, 33);
  expect((await pipeline.sync({ source: "log" })).streams).toMatchObject([{ rowsRead: 33 }]);
  expect(await stored()).toEqual({ rows: 132, ids: 132 });
});

test("a span of a table is read in several spans at the same time, each record once", async () => {
  const report = await pipeline.sync({ source: "shop", window: { from: "2024-01-05", to: "2024-01-25" } });
  expect(report.streams).toMatchObject([{ stream: "entries", rowsRead: 200, inserted: 200, rejected: 0 }]);
  const { rows } = await pipeline.pool.query(
    `select min(at)::text as first, max(at)::text as last, count(*)::int as rows,
       (select count(*)::int from ops.syncs where source = 'shop') as syncs from raw.shop__entries`,
  );
  expect(rows).toEqual([{ first: "2024-01-05", last: "2024-01-24", rows: 200, syncs: 4 }]);
});
