import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@temporalio/client";
import { NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { pino } from "pino";
import { loggedActivities } from "./activities/activity-log.ts";
import { boundedAttempts } from "./activities/attempts.ts";
import { graphOf } from "./activities/build.ts";
import { keepCrashesQuiet } from "./activities/crashes.ts";
import type { SharedDependencies } from "./activities/dependencies.ts";
import { errorsAsCodes } from "./activities/errors-as-codes.ts";
import { createActivities } from "./activities/index.ts";
import { declareField, loadProject, loadSettings, loadSqlTree } from "./config.ts";
import { destinations, destinationSpecs, sources, sourceSpecs } from "./connectors/index.ts";
import { UserError } from "./domain/errors.ts";
import { TASK_QUEUE } from "./domain/ids.ts";
import { keyRingOf } from "./privacy/key-ring.ts";
import { connectTemporal } from "./stack/temporal-connection.ts";
import { keepMeasuring } from "./telemetry/metrics.ts";
import { installRuntime } from "./telemetry/runtime.ts";
import { startTracing, tracedBundle, TRACING_MODULES } from "./telemetry/tracing.ts";
import { dataConverter } from "./warehouse/data-converter.ts";
import { openPools } from "./warehouse/database.ts";
import { findLogLeaks, logWarning } from "./warehouse/log-settings.ts";
import { Vault } from "./warehouse/vault.ts";

/** The Temporal worker of one project: reads where its servers are from the environment, and runs until it is told to stop. */
const settings = loadSettings();
const log = pino({ name: "worker", level: settings.logLevel });
keepCrashesQuiet(log, [...process.execArgv, settings.nodeOptions]);
if (!settings.databaseUrl || !settings.temporalAddress) {
  throw new Error("the worker needs DATABASE_URL and TEMPORAL_ADDRESS; npm start sets them for the embedded servers");
}
const { workerVersion, tracesEndpoint } = settings;
const workflowBundle =
  settings.workflowBundle !== null && tracesEndpoint !== null
    ? tracedBundle(settings.workflowBundle)
    : settings.workflowBundle;
if (workflowBundle !== null && !existsSync(workflowBundle)) {
  throw new UserError(`there is no file ${workflowBundle}; npm run bundle makes one`, {
    key: "MIETTE_WORKFLOW_BUNDLE",
  });
}
// Whoever supervises this process has died: the next supervisor starts a worker of its own, which need not wait for this
// one, since work that is cut off at any instant is taken up where it committed last.
process.once("disconnect", () => process.exit(1));
process.channel?.unref();
installRuntime(log, settings.metricsAddress);
const tracing = tracesEndpoint === null ? null : startTracing(tracesEndpoint);
const loadThisProject = () => loadProject(settings.projectDirectory, { connectorSpecs: sourceSpecs, destinationSpecs });

const pools = openPools(settings.databaseUrl);
const keys = keyRingOf(settings);
const vault = await Vault.open(pools.loader, keys);
const dependencies: SharedDependencies = {
  pools,
  vault,
  keys,
  sources,
  destinations,
  log,
  // Embedded servers and their worker log into the home; elsewhere logs go where the platform sends them.
  logFolder: existsSync(join(settings.home, "logs")) ? join(settings.home, "logs") : null,
  loadSql: () => loadSqlTree(fileURLToPath(new URL("./sql/", import.meta.url)), settings.projectDirectory),
  declareField,
  loadProject: loadThisProject,
};
const connection = await connectTemporal(settings.temporalAddress, settings.temporalSecurity, (options) =>
  NativeConnection.connect(options),
);
const worker = await Worker.create({
  connection,
  namespace: settings.temporalNamespace,
  taskQueue: TASK_QUEUE,
  dataConverter: dataConverter(pools.loader, vault),
  interceptors: {
    activity: [...(tracing ? [tracing.activity] : []), loggedActivities(log), boundedAttempts, errorsAsCodes(log)],
    ...(tracing && workflowBundle === null ? { workflowModules: TRACING_MODULES } : {}),
  },
  ...(tracing ? { sinks: { ...tracing.sinks } } : {}),
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
  activities: createActivities(dependencies),
  maxConcurrentActivityTaskExecutions: 8,
  shutdownGraceTime: "10s",
  shutdownForceTime: "20s",
});
const measuring =
  settings.metricsAddress === null
    ? null
    : keepMeasuring(Runtime.instance().metricMeter, {
        pool: pools.publisher,
        client: new Client({ connection, namespace: settings.temporalNamespace }),
        namespace: settings.temporalNamespace,
        loadProject: loadThisProject,
        log,
      });
const logLeaks = logWarning(await findLogLeaks(pools.loader));
if (logLeaks !== null) log.warn(logLeaks);
log.info("worker ready");
process.send?.("ready");
const running = worker.run();
// The first build need not wait for the models to be read. A project whose models are wrong is told by whoever builds.
void graphOf({ ...dependencies, pool: pools.publisher }).catch(() => undefined);
await running;
measuring?.stop();
await tracing?.stop();
await connection.close();
await Promise.all(Object.values(pools).map((pool) => pool.end()));
