import type { Command } from "commander";
import { RUN_WORKFLOW_ID } from "../domain/ids.ts";
import type { RunReport } from "../domain/runs.ts";
import { stackStatus, stopStack } from "../stack/stack.ts";
import { writeReport } from "./report.ts";
import { applySchedules } from "./schedules.ts";
import { psqlCommand, screenOf } from "./screen.ts";
import { settingsOf, withSession, type GlobalOptions, type Session } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerUp(program: Command): void {
  program
    .command("start")
    .option("--once", "run the pipeline and exit")
    .action(async (options: { once?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const report = await runWorkflow<RunReport>(session.client, "runPipeline", {
          workflowId: RUN_WORKFLOW_ID,
          input: {},
          summary: session.project.name,
          quiet: session.json,
          ended: session.stack.ended,
        });
        const file = await writeReport(session);
        console.log(session.json ? JSON.stringify({ ...report, report: file }) : await screenOf(session, report, file));
        if (options.once) return;
        await applySchedules(session.client, session.project);
        console.error("Up, with the schedules of miette.yaml; Ctrl-C stops everything.");
        await untilStopped(session);
      });
    });
  program
    .command("up")
    .option("--detach", "leave them running and return")
    .action(async (options: { detach?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        if (session.stack.uiUrl) console.log(`Temporal UI   ${session.stack.uiUrl}`);
        console.log(`SQL           ${psqlCommand(session)}`);
        if (options.detach) return await session.stack.detach();
        console.error("Up; Ctrl-C stops everything.");
        await untilStopped(session);
      });
    });
  program.command("down").action(async (_options: unknown, command: Command) => {
    const { home } = settingsOf(command.optsWithGlobals<GlobalOptions>());
    console.log((await stackStatus(home)) && (await stopStack(home)) ? "Stopped." : "Nothing was running.");
  });
}

/** Until Ctrl-C, a termination signal, or `miette down` in another terminal. */
async function untilStopped(session: Session): Promise<void> {
  const signalled = new Promise<void>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve());
  });
  await Promise.race([signalled, session.stack.ended]);
  console.error("Stopping …");
}
