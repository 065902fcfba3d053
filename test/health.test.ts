import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { applySchedules } from "../cli/schedules.ts";
import type { AlertMessage } from "../domain/alerts.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import { streamFreshness } from "../warehouse/freshness.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { receiveHttp, receiveMail } from "./receivers.ts";

const CANARY = "canary-7f3a@victim.test";
let directory: string;
let pipeline: Pipeline;
let http: Awaited<ReturnType<typeof receiveHttp>>;
let smtp: Awaited<ReturnType<typeof receiveMail>>;
let isAway = false;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-health-"));
  await mkdir(join(directory, "schemas"));
  http = await receiveHttp(() => (isAway ? 503 : 204));
  smtp = await receiveMail();
  await writeFile(
    join(directory, "miette.yaml"),
    `name: shop
currency: EUR
time_zone: UTC
sources:
  crm:
    connector: csv
    config: { path: people.csv }
    freshness: { warn_after: 6h, error_after: 1d }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml }
notify:
  webhook: { url: "\${HOOK}", secret: "\${SECRET}" }
  smtp: { host: 127.0.0.1, port: ${smtp.port}, tls: none, user: miette, password: hunter2, from: a@shop.example, to: [b@shop.example] }
`,
  );
  await writeFile(
    join(directory, "schemas/people.yaml"),
    `type: object\nrequired: [id, age]\nproperties:\n  id: { type: integer }\n  age: { type: integer }\n`,
  );
  await people("1,40");
  pipeline = await openPipeline(directory, {
    HOOK: http.url,
    SECRET: `whsec_${Buffer.alloc(24, 7).toString("base64")}`,
  });
  await pipeline.sync({ source: "crm" });
});
afterAll(async () => {
  await pipeline.close();
  await http.close();
  await smtp.close();
  await rm(directory, { recursive: true });
});

const people = (...rows: string[]) => writeFile(join(directory, "people.csv"), `id,age\n${rows.join("\n")}\n`);

const check = () =>
  pipeline.client.workflow.execute("checkHealth", { workflowId: "health", taskQueue: TASK_QUEUE, args: [] });

/** As if the records had landed that long ago. */
const age = (interval: string) =>
  pipeline.pool.query(
    "update ops.syncs set started_at = now() - $1::interval, finished_at = now() - $1::interval where status = 'done'",
    [interval],
  );

/** What has been told since the last time that this was asked, as `state subject`. */
function news(): { webhook: string[]; mails: string[] } {
  const webhook = http.received.splice(0).map(({ body }) => {
    const { data } = JSON.parse(body.toString()) as { data: AlertMessage };
    return `${data.state} ${data.subject}`;
  });
  const mails = smtp.mails.splice(0).map((mail) => /^Subject: (.*)$/m.exec(mail)![1]!.trim());
  return { webhook, mails };
}

test("a stream within its limits is no news", async () => {
  expect(await check()).toEqual({ told: 0, untold: 0 });
  const project = await pipeline.project();
  expect(await streamFreshness(pipeline.pool, project.freshness)).toMatchObject([
    { source: "crm", stream: "people", state: "ok" },
  ]);
});

test("a late stream is told once to every channel, again when it gets worse, and when it has recovered", async () => {
  await age("7 hours");
  expect(await check()).toEqual({ told: 2, untold: 0 });
  expect(news()).toEqual({
    webhook: ["warning freshness:crm.people"],
    mails: ["[shop] warning: freshness:crm.people (late)"],
  });
  await age("8 hours");
  expect(await check()).toEqual({ told: 0, untold: 0 });

  await age("25 hours");
  await check();
  expect(news().webhook).toEqual(["error freshness:crm.people"]);
  expect((await check()) as object).toEqual({ told: 0, untold: 0 });

  // A sync that brings nothing new does not make the stream fresh.
  await pipeline.sync({ source: "crm", full: true });
  expect(await check()).toEqual({ told: 0, untold: 0 });

  await people("1,41");
  await pipeline.sync({ source: "crm" });
  await check();
  expect(news()).toEqual({
    webhook: ["ok freshness:crm.people"],
    mails: ["[shop] recovered: freshness:crm.people (late)"],
  });
});

test("a channel that is away is told by a later check under the same id, and the others are not told twice", async () => {
  isAway = true;
  await age("25 hours");
  expect(await check()).toEqual({ told: 1, untold: 1 });
  const attempts = http.received.map(({ headers }) => headers["webhook-id"]);
  expect(attempts.length).toBeGreaterThan(1);
  isAway = false;
  expect(await check()).toEqual({ told: 1, untold: 0 });
  expect(new Set(http.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  expect(news().mails).toEqual(["[shop] error: freshness:crm.people (late)"]);
  await people("1,42");
  await pipeline.sync({ source: "crm" });
  await check();
  news();
});

test("a scheduled sync that stops at broken records tells so at once, without a value, and recovers with the next good sync", async () => {
  await people(...Array.from({ length: 1_200 }, (_, id) => `${id},${CANARY}`));
  await expect(pipeline.sync({ source: "crm", thenBuild: true })).rejects.toThrow("Workflow execution failed");
  expect([...http.received.map(({ body }) => body.toString()), ...smtp.mails].join()).not.toContain(CANARY);
  expect(news()).toEqual({
    webhook: ["error sync:crm"],
    mails: ["[shop] error: sync:crm (too_many_rejects)"],
  });
  await expect(pipeline.sync({ source: "crm", thenBuild: true })).rejects.toThrow("Workflow execution failed");
  expect(news().webhook).toEqual([]);

  await people("1,43");
  await pipeline.sync({ source: "crm" });
  await check();
  expect(news().webhook).toEqual(["ok sync:crm"]);
});

test("a sync by hand that fails tells the person who started it, and nobody else", async () => {
  await rm(join(directory, "people.csv"));
  await expect(pipeline.sync({ source: "crm" })).rejects.toThrow("Workflow execution failed");
  await check();
  expect(news().webhook).toEqual([]);
  await people("1,43");
});

test("a check that fails is told by its name, and when it holds again", async () => {
  for (const [name, sql] of Object.entries({
    "checks/everybody_is_young.sql":
      "-- Nobody is over 40.\nselect ages.age from core.ages as ages where ages.age > 40\n",
    "models/staging/crm__people.sql":
      "-- One row per person.\nselect people.record_key, people.age from raw.crm__people as people\n",
    "models/core/ages.sql":
      "-- One row per person.\n-- key: record_key\nselect people.record_key, people.age from staging.crm__people as people\n",
  })) {
    await mkdir(dirname(join(directory, "sql", name)), { recursive: true });
    await writeFile(join(directory, "sql", name), sql);
  }
  const select = ["+core.ages"];
  await expect(pipeline.build({ select })).rejects.toMatchObject({ cause: { cause: { type: "check_failed" } } });
  await check();
  expect(news()).toMatchObject({ webhook: ["error check:everybody_is_young"] });
  await people("1,39");
  await pipeline.sync({ source: "crm" });
  await pipeline.build({ select });
  await check();
  expect(news()).toMatchObject({ webhook: ["ok check:everybody_is_young"] });
});

test("a run that fails tells which source failed, once the others have landed", async () => {
  await rm(join(directory, "people.csv"));
  await expect(pipeline.run()).rejects.toMatchObject({ cause: { type: "run_failed" } });
  expect(news().webhook).toEqual(["error sync:crm"]);
});

test("the check of health is scheduled where there is somebody to tell", async () => {
  const project = await pipeline.project();
  expect(await applySchedules(pipeline.client, project)).toMatchObject({ created: ["health", "retention"] });
  const quiet = { ...project, freshness: [], notify: { webhook: null, smtp: null } };
  await expect
    .poll(() => applySchedules(pipeline.client, quiet), { timeout: 20_000, interval: 1_000 })
    .toMatchObject({ deleted: ["health"] });
});
