import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { BUILD_WORKFLOW_ID } from "../domain/ids.ts";
import type { BuildInput, BuildReport } from "../domain/runs.ts";
import { planBuild } from "../warehouse/models/plan.ts";
import { runChecks } from "../warehouse/models/run-checks.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

const SELECT = "models to take: fct_orders, +fct_orders (with what it reads), fct_orders+ (with what reads it)";

export function registerBuild(program: Command): void {
  program
    .command("build")
    .option("--select <models...>", SELECT)
    .option("--full", "compute every model, also those without work")
    .action(async (options: BuildInput, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const input: BuildInput = {
          ...(options.select ? { select: options.select } : {}),
          ...(options.full ? { full: true } : {}),
        };
        const report = await runWorkflow<BuildReport>(session.client, "buildModels", {
          workflowId: BUILD_WORKFLOW_ID,
          input,
          summary: "models",
          quiet: session.json,
          ended: session.stack.ended,
        });
        printBuild(report, session.json);
      });
    });
  program
    .command("plan")
    .option("--select <models...>", SELECT)
    .option("--full", "as if every model had to be computed")
    .action(async (options: BuildInput, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const { relations } = await planBuild(session.pool, await session.graph(), { ...options, dry: true });
        // Machines get every relation; a person wants to see what would happen.
        const shown = session.json ? relations : relations.filter(({ action }) => action !== "skip");
        printRows(
          shown.map(({ keys, ...each }) => ({ ...each, "rows at most": keys ?? "" })),
          { json: session.json, empty: `Nothing to do: none of the ${relations.length} relations has work.` },
        );
      });
    });
  program.command("check").action(async (_options: unknown, command: Command) => {
    await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
      const results = await runChecks(session.pool, await session.graph());
      printRows(
        results.map(({ name, severity, rows, sentence }) => ({
          check: name,
          severity,
          "rows that break it": rows,
          holds: sentence,
        })),
        { json: session.json, empty: "The project has no checks." },
      );
      const failed = results.filter(({ severity, rows }) => severity === "error" && rows > 0);
      if (failed.length > 0) {
        throw new UserError(
          `${failed.length} of ${results.length} checks failed: ${failed.map(({ name, file }) => `${name} (${file})`).join(", ")}`,
        );
      }
    });
  });
}

function printBuild(report: BuildReport, json: boolean): void {
  if (json) return console.log(JSON.stringify(report));
  if (report.models.length === 0) return console.log("Nothing has changed since the last build.");
  printRows(
    report.models.map(({ relation, rows, milliseconds }) => ({
      model: relation,
      rows: rows ?? "view",
      ms: milliseconds,
    })),
    { json, empty: "" },
  );
  console.log(
    `Published: ${report.inserted} rows inserted, ${report.updated} updated, ${report.deleted} deleted; ${report.checks.length} checks run.`,
  );
  for (const { name, file, rows } of report.checks.filter((check) => check.rows > 0)) {
    console.log(`warning: ${rows} rows break ${name} (${file})`);
  }
}
