import { Command, CommanderError } from "commander";
import { registerAudit } from "./cli/audit.ts";
import { registerBuild } from "./cli/build.ts";
import { registerDiscover } from "./cli/discover.ts";
import { registerDoctor } from "./cli/doctor.ts";
import { registerGenerate } from "./cli/generate.ts";
import { registerInit } from "./cli/init.ts";
import { registerKeys } from "./cli/keys.ts";
import { registerLineage } from "./cli/lineage.ts";
import { registerQuarantine } from "./cli/quarantine.ts";
import { registerQuery } from "./cli/query.ts";
import { registerReport } from "./cli/report.ts";
import { registerRun } from "./cli/run.ts";
import { registerSchedules } from "./cli/schedules.ts";
import { registerSchema } from "./cli/schema.ts";
import { registerSegment } from "./cli/segment.ts";
import { registerStatus } from "./cli/status.ts";
import { registerSync } from "./cli/sync.ts";
import { registerUp } from "./cli/up.ts";
import { CodedError, UserError } from "./domain/errors.ts";

/** `miette …`: starts and inspects workflows. Exit codes: 0 done, 2 a person has to mend something, 1 the world is at fault. */
const program = new Command("miette")
  .description("A customer data platform: from sources to a customer mart in Postgres")
  .option("--project <dir>", "the project's folder (default: the current one, or the demo store)")
  .option("--json", "output for machines")
  .exitOverride();
for (const register of [
  registerUp,
  registerStatus,
  registerDoctor,
  registerInit,
  registerGenerate,
  registerDiscover,
  registerSync,
  registerBuild,
  registerLineage,
  registerRun,
  registerSchedules,
  registerQuarantine,
  registerQuery,
  registerReport,
  registerSchema,
  registerSegment,
  registerAudit,
  registerKeys,
]) {
  register(program);
}

// A reader that has seen enough (`| head`) closes the pipe; the connection that keeps the servers ends with the process.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  // Commander has printed its own sentence, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    console.error(error.message);
    return 2;
  }
  if (error instanceof CodedError) {
    console.error(error.message);
    return 1;
  }
  console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}
