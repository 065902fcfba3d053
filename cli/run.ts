import type { Command } from "commander";
import { RUN_WORKFLOW_ID } from "../domain/ids.ts";
import type { RunReport } from "../domain/runs.ts";
import { writeReport } from "./report.ts";
import { screenOf } from "./screen.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerRun(program: Command): void {
  program
    .command("run")
    .option("--full", "read every source again, from the start")
    .action(async (options: { full?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const report = await runWorkflow<RunReport>(session.client, "runPipeline", {
          workflowId: RUN_WORKFLOW_ID,
          input: { full: options.full ?? false },
          summary: session.project.name,
          quiet: session.json,
          ended: session.stack.ended,
        });
        const file = await writeReport(session);
        console.log(session.json ? JSON.stringify({ ...report, report: file }) : await screenOf(session, report, file));
      });
    });
}
