import { writeFileSync } from "node:fs";
import type { Logger } from "pino";
import { CodedError, UserError } from "../domain/errors.ts";
import { describeError } from "./failures.ts";

/** Node's options by which memory, with records and keys in it, is written to a file. */
const WRITES_MEMORY = /--heapsnapshot-(?:signal|near-heap-limit)/;

/**
 * What ends this process leaves no value behind: Node's own way is to print the message, which may quote a record, and,
 * where somebody has switched it on, to write a report with the environment and the heap's figures. A core dump, where
 * the system makes one, is left without memory (Linux).
 * @param nodeOptions those of the command line and of NODE_OPTIONS
 * @throws UserError where Node was told to write its memory to disk
 */
export function keepCrashesQuiet(log: Logger, nodeOptions: readonly string[]): void {
  const option = WRITES_MEMORY.exec(nodeOptions.join(" "))?.[0];
  if (option !== undefined) {
    throw new UserError(`${option} would write records and keys to disk; take it out of Node's options`);
  }
  // core(5): no bit is no mapping. Elsewhere than on Linux there is no such file.
  if (process.platform === "linux") writeFileSync("/proc/self/coredump_filter", "0");
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
