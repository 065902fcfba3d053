import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Random } from "../demo/random.ts";
import { freePort } from "../stack/ports.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const ROWS = IS_LONG ? 200_000 : 40_000;
const SEEDS = IS_LONG ? Array.from({ length: 10 }, (_, index) => index + 1) : [1];
const PATIENCE = 240_000;

let database: TestDatabase;
let pipeline: Pipeline;
let directory: string;
let port: number;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(`
    create table orders (id integer primary key, amount numeric(12, 2) not null, note text, changed_at timestamptz not null);
    insert into orders select i, i / 100.0, repeat('x', 40), timestamptz '2024-01-01' + i * interval '1 second'
      from generate_series(1, ${ROWS}) i;
    -- Every row twice: an older revision that claims to have changed later, and the newer one before it.
    create view lies as select id, revision, changed_at + (2 - revision) * interval '3 days' as changed_at
      from orders, generate_series(1, 2) revision where id <= 15000;`);
  directory = await mkdtemp(join(tmpdir(), "miette-faulty-"));
  port = await freePort();
  const behind = new URL(database.url);
  behind.port = String(port);
  await mkdir(join(directory, "schemas"));
  await writeFile(
    join(directory, "miette.yaml"),
    `name: faulty
currency: EUR
time_zone: UTC
sources:
  shop:
    connector: postgres
    config: { url: "${behind.href}", table: orders, timeout_seconds: 3 }
    streams:
      orders: { key: [id], cursor: changed_at, schema: schemas/orders.yaml }
  liar:
    connector: postgres
    config: { url: "${database.url}", table: lies }
    streams:
      lies: { key: [id], cursor: changed_at, version: revision, schema: schemas/lies.yaml }
`,
  );
  await writeFile(
    join(directory, "schemas/orders.yaml"),
    `type: object
required: [id, amount]
properties:
  id: { type: integer }
  amount: { type: number, decimal: [12, 2] }
  note: { type: string }
  changed_at: { type: string, format: date-time }
`,
  );
  await writeFile(
    join(directory, "schemas/lies.yaml"),
    `type: object
required: [id, revision]
properties:
  id: { type: integer }
  revision: { type: integer }
  changed_at: { type: string, format: date-time }
`,
  );
  pipeline = await openPipeline(directory);
}, PATIENCE);
afterAll(async () => {
  await pipeline.close();
  await database.drop();
  await rm(directory, { recursive: true });
}, PATIENCE);

type Break = "resets" | "stalls" | "closes";

/** Between us and the source: the first connections that carry more than their share of bytes break off or fall silent. */
function faultyProxy(breaks: { how: Break; after: number }[]): { server: Server; broken: Break[] } {
  const { port: real, hostname } = new URL(inject("postgresUrl"));
  const left = [...breaks];
  const broken: Break[] = [];
  const server = createServer((socket) => {
    const upstream = connect(Number(real), hostname);
    const end = (): void => [socket, upstream].forEach((one) => void one.destroy());
    for (const each of [socket, upstream]) each.on("error", end).on("close", end);
    socket.pipe(upstream);
    let carried = 0;
    let isBroken = false;
    upstream.on("data", (chunk) => {
      if (isBroken) return;
      carried += chunk.length;
      const next = left[0];
      if (!next || carried < next.after) return void socket.write(chunk);
      left.shift();
      isBroken = true;
      broken.push(next.how);
      if (next.how === "resets") socket.resetAndDestroy();
      if (next.how === "closes") socket.destroy();
    });
  });
  server.listen(port, "127.0.0.1");
  return { server, broken };
}

test.each(SEEDS)(
  "a source that resets, stalls and closes its connections is read to its end, every record once (seed %i)",
  { timeout: PATIENCE },
  async (seed) => {
    const random = new Random(seed);
    const breaks = random
      .shuffled(["resets", "stalls", "closes", "resets"] as const)
      .map((how) => ({ how, after: random.int(50_000, 800_000) }));
    const { server, broken } = faultyProxy(breaks);
    try {
      await pipeline.sync({ source: "shop", full: true });
    } finally {
      server.close();
    }
    expect(broken).toEqual(breaks.map(({ how }) => how));
    const { rows } = await pipeline.pool.query(
      `select count(*)::integer as rows, sum(amount)::text as amount, sum(id)::float8 as ids,
         (select count(*)::integer from raw.shop__orders__history) as superseded from raw.shop__orders where deleted_at is null`,
    );
    const ids = (ROWS * (ROWS + 1)) / 2;
    expect(rows).toEqual([{ rows: ROWS, amount: (ids / 100).toFixed(2), ids, superseded: 0 }]);
  },
);

test(
  "a source that lies about its order and repeats rows ends in the newest revision of each",
  { timeout: PATIENCE },
  async () => {
    const state = async () =>
      (
        await pipeline.pool.query(
          `select count(*)::integer as rows, sum(revision)::integer as revisions,
           (select count(*)::integer from raw.liar__lies__history) as superseded from raw.liar__lies`,
        )
      ).rows[0] as object;
    await pipeline.sync({ source: "liar" });
    expect(await state()).toEqual({ rows: 15_000, revisions: 30_000, superseded: 15_000 });
    // Again, and again from the start: late rows bring nothing back.
    await pipeline.sync({ source: "liar" });
    await pipeline.sync({ source: "liar", full: true });
    expect(await state()).toEqual({ rows: 15_000, revisions: 30_000, superseded: 15_000 });
  },
);
