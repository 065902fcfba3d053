import { Runtime } from "@temporalio/worker";
import type { Logger } from "pino";
import { UserError } from "../domain/errors.ts";
import { prometheus } from "./metrics.ts";
import { sdkLogger } from "./sdk-logger.ts";

/** The SDK's runtime, one for the process: its log lines become ours, and its metrics are served. */
export function installRuntime(log: Logger, metricsAddress: string | null): void {
  try {
    Runtime.install({
      shutdownSignals: ["SIGINT", "SIGTERM"],
      logger: sdkLogger(log),
      telemetryOptions: {
        logging: { forward: {}, filter: { core: "WARN", other: "ERROR" } },
        ...(metricsAddress === null ? {} : prometheus(metricsAddress)),
      },
    });
  } catch (error) {
    if (metricsAddress === null) throw error;
    throw new UserError(`the metrics can't be served at ${metricsAddress}; is the port taken? name another.`, {
      key: "MIETTE_METRICS_PORT",
    });
  }
}
