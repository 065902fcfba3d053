import type { Command } from "commander";
import { erasureWorkflowId } from "../domain/ids.ts";
import { finishTask, openTask } from "../warehouse/activation/tasks.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** What a person has to have done at a destination, where a machine can't. */
export function registerTasks(request: Command): void {
  request
    .command("task")
    .description("whom a destination has to be asked by hand to erase; it goes into the audit")
    .argument("<request>", "its id")
    .argument("<destination>")
    .action(async (requestId: string, destination: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const people = await openTask(session.pool, session.vault, requestId, destination, actor());
        const declared = session.project.destinations.find(({ name }) => name === destination);
        const instructions = (declared?.config as { instructions?: string } | undefined)?.instructions ?? null;
        if (session.json) return console.log(JSON.stringify({ requestId, destination, instructions, people }));
        if (instructions !== null) console.log(instructions);
        if (!declared) {
          console.log(
            `${destination} stands no longer in miette.yaml: whoever has dealt with it has to be asked to erase these people. Put back, it is asked by itself within a day.`,
          );
        }
        for (const { id, fields } of people) {
          console.log(
            [id, ...Object.entries(fields).map(([name, values]) => `${name}: ${values.join(", ")}`)].join("\n  "),
          );
        }
        console.log(`miette request done ${requestId} ${destination} notes that it was done.`);
      });
    });
  request
    .command("done")
    .description("note that a destination was asked by hand, and has erased")
    .argument("<request>", "its id")
    .argument("<destination>")
    .action(async (requestId: string, destination: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        await finishTask(session.pool, requestId, destination, actor());
        await session.client.workflow.getHandle(erasureWorkflowId(requestId)).signal("doneByHand", destination);
        console.log(session.json ? JSON.stringify({ requestId, destination, state: "confirmed" }) : "Noted.");
      });
    });
}
