import type { LogLevel, Logger as SdkLogger } from "@temporalio/worker";
import type { Logger } from "pino";

/** What the SDK's lines may bring; anything else, an error's message first, may quote a value. */
const KEPT = ["sdkComponent", "namespace", "taskQueue", "workflowType", "activityType", "attempt"] as const;
const RENAMED = { workflowId: "workflow", runId: "run", activityId: "activityId" } as const;
const LEVELS = { TRACE: "trace", DEBUG: "debug", INFO: "info", WARN: "warn", ERROR: "error" } as const;

/** The SDK's log lines as ours: JSON, with ids and codes. */
export function sdkLogger(log: Logger): SdkLogger {
  const write = (level: LogLevel, message: string, meta: Record<string | symbol, unknown> = {}): void => {
    const fields: Record<string, unknown> = {};
    for (const key of KEPT) if (meta[key] !== undefined) fields[key] = meta[key];
    for (const [key, name] of Object.entries(RENAMED)) if (meta[key] !== undefined) fields[name] = meta[key];
    const { error } = meta;
    if (error instanceof Error) {
      fields["kind"] = error.name;
      const { type } = error as Error & { type?: unknown };
      if (typeof type === "string") fields["code"] = type;
    }
    log[LEVELS[level]](fields, message);
  };
  return {
    log: write,
    trace: (message, meta) => write("TRACE", message, meta),
    debug: (message, meta) => write("DEBUG", message, meta),
    info: (message, meta) => write("INFO", message, meta),
    warn: (message, meta) => write("WARN", message, meta),
    error: (message, meta) => write("ERROR", message, meta),
  };
}
