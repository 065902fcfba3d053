import { hostname } from "node:os";
import { Client, Connection } from "@temporalio/client";
import { loadSettings } from "../config.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import { connectTemporal } from "../stack/temporal-connection.ts";

/**
 * The health check of a worker's container: ends with 0 if Temporal has heard of a worker of this host within the last
 * minute. A worker that hangs, or has lost its connection, asks for no work and is forgotten.
 */
const WITHIN_MS = 60_000;
const ACTIVITIES = 2;

const { temporalAddress, temporalNamespace, temporalSecurity } = loadSettings();
if (temporalAddress === null) throw new Error("TEMPORAL_ADDRESS is not set");
const connection = await connectTemporal(temporalAddress, temporalSecurity, (options) => Connection.connect(options));
try {
  const { pollers } = await new Client({ connection }).workflowService.describeTaskQueue({
    namespace: temporalNamespace,
    taskQueue: { name: TASK_QUEUE },
    taskQueueType: ACTIVITIES,
  });
  const isHeard = (pollers ?? []).some(
    ({ identity, lastAccessTime }) =>
      identity?.endsWith(`@${hostname()}`) && Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < WITHIN_MS,
  );
  if (!isHeard) throw new Error("Temporal has not heard of this host's worker within a minute");
} finally {
  await connection.close();
}
