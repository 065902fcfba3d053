import { type ChildProcess, execFile } from "node:child_process";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../../config.ts";
import { syncWorkflowId } from "../../domain/ids.ts";
import { ownEnvironment } from "../../stack/environment.ts";
import { freePort } from "../../stack/ports.ts";
import { type CommandLine, createCommandLine, succeeded } from "../command.ts";
import { createTestDatabase, type TestDatabase } from "../database.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const PATIENCE = 300_000;
let commands: CommandLine;
let connection: Connection;
let client: Client;
let database: TestDatabase;
let port: number;
let newer: ChildProcess | undefined;

beforeAll(async () => {
  if (!IS_LONG) return;
  database = await createTestDatabase();
  await database.pool.query("create table orders (id integer primary key); insert into orders values (1), (2)");
  port = await freePort();
  const source = new URL(database.url);
  source.port = String(port);
  commands = await createCommandLine();
  await commands.write({
    "miette.yaml": `name: versions
currency: EUR
time_zone: UTC
sources:
  slow:
    connector: postgres
    config: { url: "${source.href}" }
    streams: { orders: { key: [id], schema: schemas/orders.yaml } }
  quick:
    connector: csv
    config: { path: data/orders.csv }
    streams: { orders: { key: [id], schema: schemas/orders.yaml } }
`,
    "schemas/orders.yaml": "type: object\nproperties:\n  id: { type: integer }\n",
    "data/orders.csv": "id\n1\n",
  });
  const bundle = join(commands.project, "workflows.js");
  await promisify(execFile)(process.execPath, ["--import", "tsx", "bundle.ts", bundle], {
    cwd: PACKAGE_DIRECTORY,
    env: ownEnvironment(),
  });
  const older = { MIETTE_WORKER_BUILD_ID: "1.0", MIETTE_WORKFLOW_BUNDLE: bundle };
  succeeded(await commands.miette(["up", "--detach"], older));
  connection = await Connection.connect({ address: commands.temporalAddress });
  client = new Client({ connection });
}, PATIENCE);
afterAll(async () => {
  if (!IS_LONG) return;
  newer?.kill("SIGTERM");
  await connection.close();
  await commands.remove();
  await database.drop();
}, PATIENCE);

async function makeCurrent(buildId: string): Promise<void> {
  await expect
    .poll(
      () =>
        client.workflowService
          .setWorkerDeploymentCurrentVersion({ namespace: "default", deploymentName: "miette", buildId })
          .then(() => "current"),
      { timeout: 60_000, interval: 500 },
    )
    .toBe("current");
}

async function versionOf(source: string): Promise<string | null | undefined> {
  const { raw } = await client.workflow.getHandle(syncWorkflowId(source)).describe();
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId;
}

test(
  "a run ends on the version of the workers on which it began; new ones take the current version",
  { timeout: PATIENCE, skip: !IS_LONG },
  async () => {
    await makeCurrent("1.0");
    newer = await commands.startWorker({ MIETTE_WORKER_BUILD_ID: "1.1" });
    // Its source is away until the newer version is current.
    const slow = commands.miette(["sync", "slow", "--json"]);
    await expect.poll(() => versionOf("slow").catch(() => null), { timeout: 60_000 }).toBe("1.0");
    await makeCurrent("1.1");

    succeeded(await commands.miette(["sync", "quick", "--json"]));
    expect(await versionOf("quick")).toBe("1.1");

    const { port: real, hostname } = new URL(inject("postgresUrl"));
    const proxy = createServer((socket) => {
      const upstream = connect(Number(real), hostname);
      for (const each of [socket, upstream]) each.on("error", () => [socket, upstream].forEach((one) => one.destroy()));
      socket.pipe(upstream).pipe(socket);
    }).listen(port, "127.0.0.1");
    expect(JSON.parse(succeeded(await slow).stdout)).toMatchObject([{ stream: "slow.orders", inserted: 2 }]);
    proxy.close();
    expect(await versionOf("slow")).toBe("1.0");
  },
);
