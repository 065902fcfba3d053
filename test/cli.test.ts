import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { identifyProcess, isRunning, type ProcessIdentity } from "../stack/process.ts";
import { freePort } from "../stack/ports.ts";
import { stackStatus } from "../stack/stack.ts";
import { createCommandLine, succeeded, type CommandLine } from "./command.ts";

const CUSTOMERS = `id,email\n${Array.from({ length: 2_000 }, (_, id) => `${id},person.${id}@example.org\n`).join("")}`;
const SCHEMA = `type: object
required: [id]
properties:
  id: { type: integer, personal: account_id, identifier: customer_id }
  email: { type: [string, "null"], personal: email, identifier: email }
`;
const PROJECT = `name: mistakes
currency: EUR
time_zone: UTC
sources:
  shop:
    connector: csv
    config: { path: data/customers.csv }
    streams:
      customers: { key: [id], schema: schemas/customers.yaml }
  gone:
    connector: csv
    config: { path: data/gone.csv }
    streams:
      customers: { key: [id], schema: schemas/customers.yaml }
  half:
    connector: csv
    config: { path: data/half.csv.gz }
    streams:
      customers: { key: [id], schema: schemas/customers.yaml }
  crm:
    connector: postgres
    config: { url: "\${CRM_URL}" }
    streams:
      customers: { key: [id], schema: schemas/customers.yaml }
`;

/** Milliseconds: the servers start several times, and other tests have half of the machine. */
const PATIENCE = 180_000;

let commands: CommandLine;
let environment: Record<string, string>;
beforeAll(async () => {
  commands = await createCommandLine();
  const crm = new URL(`${inject("postgresUrl")}/postgres`);
  crm.password = "wrong-password";
  environment = {
    CRM_URL: crm.href,
    MIETTE_METRICS_PORT: String(await freePort()),
    // As on a bare checkout, the worker bundles its workflows itself.
    MIETTE_WORKFLOW_BUNDLE: "",
  };
  const whole = gzipSync(CUSTOMERS);
  await commands.write({
    "miette.yaml": PROJECT,
    "schemas/customers.yaml": SCHEMA,
    "data/customers.csv": CUSTOMERS,
    "data/half.csv.gz": whole.subarray(0, whole.length / 2),
  });
  succeeded(await commands.miette(["up", "--detach"], environment));
}, PATIENCE);
afterAll(async () => await commands.remove(), PATIENCE);

test("a sync that works ends with 0 and says what it landed", async () => {
  const { code, stdout, stderr } = await commands.miette(["sync", "shop", "--json"], environment);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject([
    { stream: "shop.customers", read: 2_000, inserted: 2_000, quarantined: 0 },
  ]);
});

test("the worker serves its metrics with the SDK's, by source and stream, and writes its log as JSON", async () => {
  const metrics = async () => {
    const response = await fetch(`http://127.0.0.1:${environment["MIETTE_METRICS_PORT"]}/metrics`);
    return await response.text();
  };
  await expect.poll(metrics, { timeout: 10_000 }).toMatch(/^miette_warehouse_up\{?.*\}? 1$/m);
  const text = await metrics();
  expect(text).toMatch(
    /^miette_records_total\{(?=.*source="shop")(?=.*stream="customers")(?=.*outcome="inserted").*\} 2000$/m,
  );
  expect(text).toMatch(/^miette_task_queue_backlog\{(?=.*kind="activity").*\} \d+$/m);
  expect(text).toMatch(/^temporal_\w+/m);
  expect(text).not.toContain("person.1@example.org");

  expect(text).not.toMatch(/person\.\d|example\.org|@/);
  const lines = (await readFile(join(commands.home, "logs/worker.log"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
    expect.objectContaining({ activity: "syncUnit", source: "shop", streams: ["customers"], msg: "done" }),
  );
});

test.each([
  [
    "an unknown source",
    ["sync", "shopp"],
    /^miette\.yaml sources: there is no source shopp; .*shop, gone, half, crm\.?$/,
  ],
  ["an unknown stream", ["sync", "shop.customer"], /there is no stream customer; the source has customers\.?$/],
  [
    "a missing file",
    ["sync", "gone"],
    /data\/gone\.csv: there is no such file in .*; correct "path" or put the file there\.?$/,
  ],
  ["half a gzip", ["sync", "half"], /^data\/half\.csv\.gz line \d+: the gzip data .*$/],
  [
    "refused credentials",
    ["sync", "crm"],
    /^127\.0\.0\.1:\d+\/postgres refuses the credentials of "url"; correct its user and password$/,
  ],
  [
    "a field that nobody has sent",
    ["schema", "accept", "shop", "customers", "shoe_size"],
    /^shoe_size: no record of shop\.customers holds an undeclared field of this name; miette status lists those that do/,
  ],
  ["an unknown model", ["build", "--select", "fct_order"], /fct_order/],
  ["a date that is none", ["sync", "shop", "--from", "yesterday"], /^--from: is no ISO 8601 date or time/],
])("%s is told in one sentence, with exit code 2", async (_mistake, args, sentence) => {
  const { code, stdout, stderr } = await commands.miette(args, environment);
  expect(stderr.trimEnd()).toMatch(sentence);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).not.toContain("wrong-password");
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("mistakes in the project's files are told at once, each with its place", async () => {
  await commands.write({
    "miette.yaml": PROJECT.replace("currency: EUR", "curency: EUR").replace(
      "connector: postgres",
      "connector: postgre",
    ),
    "schemas/customers.yaml": SCHEMA.replace("type: integer", "type: whole"),
  });
  const { code, stdout, stderr } = await commands.miette(["sync", "shop"], environment);
  await commands.write({ "miette.yaml": PROJECT, "schemas/customers.yaml": SCHEMA });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr.replaceAll(`${commands.project}/`, "").trimEnd().split("\n")).toEqual([
    'miette.yaml:1: the key "currency" is missing; add it, as in currency: EUR.',
    'miette.yaml:2 curency: unknown key "curency"; did you mean "currency"?',
    'miette.yaml:21 sources.crm.connector: there is no connector "postgre"; did you mean "postgres"?',
    expect.stringMatching(/^schemas\/customers\.yaml:4 properties\.id\.type: "whole" is not allowed; /),
  ]);
});

test("under --json an error is JSON too, with its place", async () => {
  const { code, stdout, stderr } = await commands.miette(["--json", "sync", "shopp"], environment);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(JSON.parse(stderr)).toMatchObject({
    error: { code: "user_error", file: "miette.yaml", key: "sources", message: expect.stringContaining("shopp") },
  });
  const usage = await commands.miette(["--json", "sync", "--ful"]);
  expect(usage).toMatchObject({ code: 2, stdout: "" });
  expect(JSON.parse(usage.stderr)).toEqual({
    error: { code: "usage", message: expect.stringContaining("unknown option '--ful'") },
  });
});

test("a secret's variable that is not set is named", async () => {
  const { code, stderr } = await commands.miette(["sync", "shop"]);
  expect(stderr).toMatch(/miette\.yaml:22 sources\.crm\.config\.url: the environment variable CRM_URL is not set; /);
  expect(code).toBe(2);
});

test(
  "a killed supervisor leaves no worker, and nothing that the next command stumbles over",
  { timeout: PATIENCE },
  async () => {
    const status = (await stackStatus(commands.home))!;
    const worker = status.services.find(({ name }) => name === "worker")!;
    const left = status.services.map(({ pid }) => identifyProcess(pid)) as ProcessIdentity[];
    process.kill(status.pid, "SIGKILL");
    await expect.poll(() => identifyProcess(worker.pid), { timeout: 10_000 }).toBeNull();

    const { code, stderr } = await commands.miette(["sync", "shop"], environment);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(left.filter(isRunning)).toEqual([]);
    expect(await stackStatus(commands.home)).toBeNull();
  },
);

test("one command right after another finds the servers of a home free", async () => {
  for (let round = 0; round < 2; round += 1) {
    const { code, stdout, stderr } = await commands.miette(
      ["--json", "query", "select '\\xbeef'::bytea as b"],
      environment,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({ columns: ["b"], rows: [["\\xbeef"]] });
  }
});

test("a key file that others can read stops every command with one sentence that has none of the key", async () => {
  const file = join(commands.home, "keys/generation-1.key");
  const [, secret] = (await readFile(file, "utf8")).split("\n") as [string, string];
  await chmod(file, 0o644);
  const { code, stdout, stderr } = await commands.miette(["keys", "status"], environment);
  await chmod(file, 0o400);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).toContain("chmod 0400");
  for (let at = 0; at + 8 <= secret.length; at += 4) expect(stderr).not.toContain(secret.slice(at, at + 8));
});
