import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { pino } from "pino";
import { boundedAttempts } from "./activities/attempts.ts";
import { errorsAsCodes } from "./activities/errors-as-codes.ts";
import { createActivities } from "./activities/index.ts";
import { declareField, loadProject, loadSettings, loadSqlTree } from "./config.ts";
import { sources, sourceSpecs } from "./connectors/index.ts";
import { UserError } from "./domain/errors.ts";
import { TASK_QUEUE } from "./domain/ids.ts";
import { keyRingOf } from "./privacy/key-ring.ts";
import { dataConverter } from "./warehouse/data-converter.ts";
import { openPool } from "./warehouse/database.ts";
import { Vault } from "./warehouse/vault.ts";

/** The Temporal worker of one project: reads where its servers are from the environment, and runs until it is told to stop. */
const settings = loadSettings();
const log = pino({ name: "worker", level: settings.logLevel });
if (!settings.databaseUrl || !settings.temporalAddress) {
  throw new Error("the worker needs DATABASE_URL and TEMPORAL_ADDRESS; npm start sets them for the embedded servers");
}
const { workflowBundle, workerVersion } = settings;
if (workflowBundle !== null && !existsSync(workflowBundle)) {
  throw new UserError(`there is no file ${workflowBundle}; npm run bundle makes one`, {
    key: "MIETTE_WORKFLOW_BUNDLE",
  });
}
// Whoever supervises this process has died: the next supervisor starts a worker of its own, which need not wait for this
// one, since work that is cut off at any instant is taken up where it committed last.
process.once("disconnect", () => process.exit(1));
process.channel?.unref();
Runtime.install({
  shutdownSignals: ["SIGINT", "SIGTERM"],
  logger: { ...console, log: () => undefined, trace: () => undefined, debug: () => undefined, info: () => undefined },
});

const pool = openPool(settings.databaseUrl, { max: 16, name: "worker" });
const keys = keyRingOf(settings);
const vault = await Vault.open(pool, keys);
const connection = await NativeConnection.connect({ address: settings.temporalAddress });
const worker = await Worker.create({
  connection,
  namespace: settings.temporalNamespace,
  taskQueue: TASK_QUEUE,
  dataConverter: dataConverter(pool, vault),
  interceptors: { activity: [boundedAttempts, errorsAsCodes(log)] },
  ...(workflowBundle === null
    ? { workflowsPath: fileURLToPath(new URL("./workflows/index.ts", import.meta.url)) }
    : { workflowBundle: { codePath: workflowBundle } }),
  ...(workerVersion === null
    ? {}
    : {
        // Syncs, builds and runs are short: they end on the version on which they began.
        workerDeploymentOptions: {
          version: workerVersion,
          useWorkerVersioning: true,
          defaultVersioningBehavior: "PINNED",
        },
      }),
  activities: createActivities({
    pool,
    vault,
    keys,
    sources,
    log,
    loadSql: () => loadSqlTree(fileURLToPath(new URL("./sql/", import.meta.url)), settings.projectDirectory),
    declareField,
    loadProject: () => loadProject(settings.projectDirectory, { connectorSpecs: sourceSpecs }),
  }),
  maxConcurrentActivityTaskExecutions: 8,
  shutdownGraceTime: "10s",
  shutdownForceTime: "20s",
});
log.info("worker ready");
process.send?.("ready");
await worker.run();
await connection.close();
await pool.end();
