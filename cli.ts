import { Command } from "commander";
import { registerCommands } from "./cli/commands.ts";
import { reportError } from "./cli/report-error.ts";

/** `miette …`: starts and inspects workflows. Exit codes: 0 done, 2 a person has to mend something, 1 the world is at fault. */
const program = new Command("miette")
  .description("A customer data platform: from sources to a customer mart in Postgres")
  .option("--project <dir>", "the project's folder (default: the current one, or the demo store)")
  .option("--json", "output for machines, and errors too")
  .exitOverride();

// A reader that has seen enough (`| head`) closes the pipe; the connection that keeps the servers ends with the process.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const given = process.argv.slice(2);
// Read before commander does, whose own complaint must be JSON too.
const json = given.includes("--json");
if (json) program.configureOutput({ outputError: () => undefined });
try {
  const { operands } = program.parseOptions(given);
  await registerCommands(program, operands[0] === "help" ? operands[1] : operands[0]);
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error, json);
}
