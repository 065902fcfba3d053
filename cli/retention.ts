import type { Command } from "commander";
import { RETENTION_WORKFLOW_ID } from "../domain/ids.ts";
import type { RetainedRows, RetentionReport } from "../domain/retention.ts";
import { readRetention } from "../warehouse/retention/rules.ts";
import { listRuns, planRetention } from "../warehouse/retention/run.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerRetention(program: Command): void {
  const retention = program.command("retention");
  retention
    .command("plan")
    .description("what is past its age now, in counts per table, without taking it out")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const { project, pool, json } = session;
        print(await planRetention(pool, readRetention(await session.graph(), project), project.retention), json);
        if (!json && project.retention.length === 0) {
          console.log(
            "The project has no rule of retention: streams are kept for good. docs/retention.md shows how to write one.",
          );
        }
      });
    });
  retention
    .command("run")
    .description("take out what is past its age, as the schedule does once a day; it ends with a receipt")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const report = await runWorkflow<RetentionReport>(session.client, "applyRetention", {
          workflowId: RETENTION_WORKFLOW_ID,
          input: { actor: actor() },
          summary: "retention",
          quiet: session.json,
        });
        if (session.json) return console.log(JSON.stringify(report));
        print(report.relations, false);
        if (report.receipt !== null)
          console.log(`miette receipt show ${report.runId} prints receipt ${report.receipt}.`);
      });
    });
  retention
    .command("list")
    .description("the runs of retention, newest first")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ auditorPool, json }) => {
        const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0);
        printRows(
          (await listRuns(auditorPool)).map(({ runId, startedAt, finishedAt, changed, passedOver }) => ({
            run: runId,
            started: startedAt,
            finished: finishedAt,
            rows: sum(changed),
            "passed over": sum(passedOver),
          })),
          { json, empty: "Retention has not run yet; miette schedules apply has it run once a day." },
        );
      });
    });
}

function print(relations: RetainedRows[], json: boolean): void {
  printRows(
    relations.map(({ relation, action, rows, passedOver }) => ({ relation, action, rows, "passed over": passedOver })),
    { json, empty: "Nothing is past its age." },
  );
}
