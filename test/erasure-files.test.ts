import { randomBytes, randomInt } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KEYS_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { identifierIdentity } from "../warehouse/vault.ts";
import { shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { testKeys } from "./landing.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { findValues } from "./plaintext.ts";

// Of this run alone: the server's write-ahead log is also that of the other tests' warehouses.
const unique = randomBytes(5).toString("hex");
const PERSON = {
  email: `zq${unique}@erased.test`,
  phone: `+49151${randomInt(10_000_000, 99_999_999)}`,
  name: `Zq${unique} Zz`,
  device: `dv${unique}`,
};
const PLAIN = [PERSON.email, PERSON.phone.slice(3), PERSON.name, PERSON.device];

let directory: string;
let pipeline: Pipeline;
let files: { database: string; wal: string };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-files-"));
  await writeErasureProject(directory);
  const rows = shopRows();
  rows["customers"]!.push({ id: 900, email: PERSON.email, phone: PERSON.phone, name: PERSON.name, country: "DE" });
  rows["events"]!.push({
    id: 900,
    device: PERSON.device,
    email: PERSON.email,
    url: `https://shop.test/?to=${PERSON.email}`,
    at: "2026-02-09T09:00:00Z",
  });
  rows["reviews"]!.push({ id: 900, email: PERSON.email, stars: 1, text: `${PERSON.name} was here` });
  await writeRows(directory, rows);
  pipeline = await openPipeline(directory);
  const { rows: places } = await pipeline.pool.query(
    "select current_setting('data_directory') as data, oid::text from pg_database where datname = current_database()",
  );
  const [{ data, oid }] = places as [{ data: string; oid: string }];
  files = { database: join(data, "base", oid), wal: join(data, "pg_wal") };
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

/** In how many files of a folder some bytes stand. */
async function filesWith(folder: string, bytes: Buffer): Promise<number> {
  let count = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = await readFile(join(folder, entry.name)).catch(() => Buffer.alloc(0));
    if (content.includes(bytes)) count += 1;
  }
  return count;
}

test("the files of the warehouse and its write-ahead log never hold a value of an erased person, and a key that deleted rows leave in them opens nothing after the next rotation", async () => {
  await pipeline.run();
  await pipeline.pool.query("checkpoint");
  const { rows } = await pipeline.pool.query<{ token: string; generation: number; wrapped_key: Buffer }>(
    "select token, generation, wrapped_key from vault.identifiers where token = $1",
    [pipeline.vault.naming.token("email", PERSON.email)],
  );
  const { token, generation, wrapped_key: wrapped } = rows[0]!;
  // The search finds what is there: her token and her wrapped key in the tables, and what has just been written in the log.
  expect((await findValues([files.database], [token])).size).toBe(1);
  expect(await filesWith(files.database, wrapped)).toBeGreaterThan(0);
  const control = `control-${unique}`;
  await pipeline.pool.query("select pg_logical_emit_message(false, 'test', $1, true)", [control]);
  expect((await findValues([files.wal], [control])).size).toBe(1);
  expect(await findValues([files.database, files.wal], PLAIN)).toEqual(new Map());

  const { requestId, workflow } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    named: { emails: [PERSON.email], phones: [], ids: [] },
    actor: "test",
  });
  const report = await pipeline.client.workflow.execute(workflow.type, {
    workflowId: workflow.workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  });
  expect(report).toMatchObject({ state: "completed" });
  await pipeline.pool.query("checkpoint");
  expect(await findValues([files.database, files.wal, join(directory, "logs")], PLAIN)).toEqual(new Map());

  // Deleted rows may leave bytes in pages and in the log. Whoever finds her key there, or in a copy from before, still
  // needs the generation that wraps it.
  expect(testKeys.unwrap(wrapped, generation, identifierIdentity(token))).toHaveLength(32);
  await pipeline.client.workflow.execute("rotateKeys", {
    workflowId: KEYS_WORKFLOW_ID,
    taskQueue: TASK_QUEUE,
    args: [{ actor: "test" }],
  });
  for (const each of [generation, generation + 1]) {
    expect(() => testKeys.unwrap(wrapped, each, identifierIdentity(token))).toThrow(
      /has not been opened|does not open/,
    );
  }
  await expect(testKeys.openGeneration(generation)).rejects.toThrow(/is gone/);
});
