import type { Logger } from "pino";
import { CodedError, UserError } from "../domain/errors.ts";
import { describeError } from "./failures.ts";

/**
 * What ends this process leaves no value behind: Node's own way is to print the message, which may quote a record, and,
 * where somebody has switched it on, to write a report with the environment and the heap's figures.
 */
export function keepCrashesQuiet(log: Logger): void {
  if (process.report) {
    process.report.reportOnFatalError = false;
    process.report.reportOnUncaughtException = false;
    process.report.reportOnSignal = false;
  }
  process.on("uncaughtException", (error) => {
    // These are sentences of ours, which say how to mend it and hold no value.
    const isOurs = error instanceof UserError || error instanceof CodedError;
    log.fatal(describeError(error), isOurs ? error.message : "crashed");
    process.exit(1);
  });
}
