import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AcceptFieldReport, BuildReport, SyncReport, TokenRekeying } from "../../domain/runs.ts";
import { openPool } from "../../warehouse/database.ts";
import { createCommandLine, jsonOf, succeeded, type CommandLine } from "../command.ts";
import { serviceOf, strike } from "../strike.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const PATIENCE = 600_000;
const LONG = { timeout: PATIENCE, skip: !IS_LONG };
const PEOPLE = 24_000;
/** Every twelfth comes in two versions, of which the earlier is history. */
const RECORDS = PEOPLE + PEOPLE / 12;

const SCHEMA = `type: object
required: [id, revision]
properties:
  id: { type: integer, personal: account_id, identifier: customer_id }
  email: { type: string, personal: email, identifier: email, keep: [domain] }
  born: { type: string, format: date, personal: birth_date }
  url: { type: string }
  revision: { type: integer }
`;
const staging = (stream: string): string => `-- One row per customer.
-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, null::text as country,
    null::integer as birth_year, null::timestamptz as registered_at
from raw.shop__${stream}
`;
/** Two streams of one file: what is done to `struck` meets a fault, and the same is done to `calm` undisturbed. */
const PROJECT = {
  "miette.yaml": `name: killed
currency: EUR
time_zone: UTC
default_country: FR
sources:
  shop:
    connector: jsonl
    config: { path: people.jsonl }
    streams:
      struck: { key: [id], version: revision, schema: schemas/struck.yaml }
      calm: { key: [id], version: revision, schema: schemas/calm.yaml }
`,
  "schemas/struck.yaml": SCHEMA,
  "schemas/calm.yaml": SCHEMA,
  "sql/models/staging/shop__struck.sql": staging("struck"),
  "sql/models/staging/shop__calm.sql": staging("calm"),
};

let commands: CommandLine;
let pool: pg.Pool;
beforeAll(async () => {
  if (!IS_LONG) return;
  const record = (id: number, revision: number): string =>
    JSON.stringify({
      id,
      email: `reader.${id}@mail.example`,
      born: `19${50 + (id % 50)}-02-0${1 + (id % 9)}`,
      url: `https://shop.example/?m=reader.${id}@mail.example`,
      revision,
      tier: ["gold", "silver", null][id % 3],
      mobile: `+33 6 39 98 ${String(id % 10_000).padStart(4, "0")}`,
      nick: `Nick ${id} ${revision}`,
    });
  const lines = Array.from({ length: PEOPLE }, (_, id) =>
    id % 12 === 0 ? `${record(id, 1)}\n${record(id, 2)}` : record(id, 1),
  );
  commands = await createCommandLine();
  await commands.write({ ...PROJECT, "people.jsonl": `${lines.join("\n")}\n` });
  succeeded(await commands.miette(["up", "--detach"]));
  succeeded(await commands.miette(["run", "--json"]));
  pool = openPool(await commands.warehouseUrl(), { max: 2, name: "test" });
}, PATIENCE);
afterAll(async () => {
  if (!IS_LONG) return;
  await pool.end();
  await commands.remove();
}, PATIENCE);

/** What a stream's rows have come to, with the history; sealed parts and the stream's own names of records left out. */
async function landed(stream: string): Promise<unknown[]> {
  const own = "'{record_key,content_hash,sealed,reload,record_seq,landed_at,landed_xid}'::text[]";
  const { rows } = await pool.query<{ line: string }>(
    `select (to_jsonb(t) - ${own})::text || (sealed is null)::text as line from raw.shop__${stream} as t
     union all select (to_jsonb(t) - ${own} - '{superseded_at,superseded_xid}'::text[])::text || (sealed is null)::text || ' earlier'
     from raw.shop__${stream}__history as t order by 1`,
  );
  return rows.map(({ line }) => line);
}

const killed = { victim: "worker", signal: "SIGKILL" } as const;
/** Rows that a reprocessing under way has gone through, once it is in the middle. */
async function midway(): Promise<number | null> {
  const { rows } = await pool.query<{ read: number }>(
    "select rows_read::integer as read from ops.reprocessings where stream = 'struck' and finished_at is null",
  );
  const read = rows[0]?.read ?? 0;
  return read > 0 ? read : null;
}

test("fields are accepted by a worker that is killed midway as by one that is not", LONG, async () => {
  // The third is read from what the first two have sealed anew.
  for (const field of [["tier", "--open"], ["mobile"], ["nick", "--personal", "name"]]) {
    const accept = async (stream: string) =>
      await commands.miette(["schema", "accept", "shop", stream, ...field, "--json"]);
    const running = accept("struck");
    const before = await strike(killed, commands, running, 20, midway);
    expect(before).toBeLessThan(RECORDS);
    const report = jsonOf<AcceptFieldReport>(await running);
    expect(report).toMatchObject({ rowsRead: RECORDS, rowsChanged: RECORDS, valuesRefused: 0 });
    const { file: _, ...undisturbed } = jsonOf<AcceptFieldReport>(await accept("calm"));
    expect(report).toMatchObject(undisturbed);
    const rows = await landed("struck");
    expect(rows).toHaveLength(RECORDS);
    expect(rows).toEqual(await landed("calm"));
    const schema = (stream: string) => readFile(join(commands.project, `schemas/${stream}.yaml`), "utf8");
    expect(await schema("struck")).toBe(await schema("calm"));
  }
});

test(
  "a match key is made for the past by a sync whose worker is killed midway as by one undisturbed",
  LONG,
  async () => {
    for (const stream of ["struck", "calm"]) {
      const file = `schemas/${stream}.yaml`;
      const schema = await readFile(join(commands.project, file), "utf8");
      await commands.write({ [file]: `${schema}match_keys: { mail_birth: [email, born] }\n` });
      const running = commands.miette(["sync", `shop.${stream}`, "--json"]);
      if (stream === "struck") expect(await strike(killed, commands, running, 20, midway)).toBeLessThan(RECORDS);
      jsonOf<SyncReport | SyncReport[]>(await running);
    }
    const rows = await landed("struck");
    expect(rows.filter((row) => String(row).includes('"mail_birth": "mail_birth_'))).toHaveLength(RECORDS);
    expect(rows).toEqual(await landed("calm"));
    const { rows: reprocessed } = await pool.query<{ detail: { stream: string; rowsRead: number } }>(
      "select detail from privacy.audit where action = 'stream.reprocess' and actor = 'worker'",
    );
    expect(reprocessed.map(({ detail }) => `${detail.stream} ${detail.rowsRead}`).toSorted()).toEqual(
      ["calm", "struck"].map((stream) => `${stream} ${RECORDS}`),
    );
  },
);

test("tokens are renamed by a worker that is killed midway, and nothing keeps a former name", LONG, async () => {
  succeeded(await commands.miette(["build", "--json"]));
  const people = async () =>
    (await pool.query("select customer_id, person_seq::integer from core.people order by person_seq")).rows;
  const before = await people();
  const [first] = (await pool.query<{ email: string; url: string }>("select email, url from raw.shop__struck limit 1"))
    .rows;
  const running = commands.miette(["keys", "rekey", "--json"]);
  // The warehouse is closed: tokens are being renamed.
  const isClosed = async () =>
    (await pool.query("select from privacy.epoch where moving_xid is not null")).rowCount ? true : null;
  const status = async () => jsonOf<{ rekeying: string | null }>(await commands.miette(["status", "--json"])).rekeying;
  await strike(killed, commands, running, 50, isClosed);
  // The dead worker is noticed by its missing heartbeat, so the warehouse is closed for a while.
  expect(await status()).toBe("running");
  const report = jsonOf<TokenRekeying>(await running);
  expect(report.unknown).toBe(0);
  expect(await status()).toBeNull();
  expect(report.identifiers).toBeGreaterThan(2 * PEOPLE);
  expect(await landed("struck")).toEqual(await landed("calm"));
  expect(await people()).toEqual(before);
  const { rows: kept } = await pool.query(
    `select from raw.shop__struck where email = $1 or url = $2 union all select from core.identifiers where token = $1`,
    [first?.email, first?.url],
  );
  expect(kept).toEqual([]);
  expect(jsonOf<BuildReport>(await commands.miette(["build", "--full", "--json"]))).toMatchObject({
    inserted: 0,
    updated: 0,
    deleted: 0,
  });
  expect((await serviceOf(commands.home, "worker")).restarts).toBe(5);

  // One that was ended midway, whose warehouse stays closed.
  await pool.query("update privacy.epoch set moving_xid = pg_current_xact_id()");
  expect(await status()).toBe("stopped");
  await pool.query("update privacy.epoch set moving_xid = null");
});
