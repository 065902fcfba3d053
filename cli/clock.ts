import { Option, type Command } from "commander";
import {
  confirmReceipt,
  EXTENSION_REASONS,
  extendRequest,
  openClocks,
  type ExtensionReason,
} from "../warehouse/requests/clocks.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { parseTime } from "./time.ts";

export function registerClock(program: Command): void {
  const clock = program.command("clock");
  clock
    .command("list")
    .description("every request that waits for an answer, and by when its law asks for what")
    .action(async (_options: unknown, command: Command) => {
      await withSession(
        command.optsWithGlobals<GlobalOptions>(),
        { worker: false },
        async ({ pool, project, json }) => {
          const rows = (await openClocks(pool, project.timeZone)).map((each) => ({
            request: each.requestId,
            kind: each.kind,
            rule: each.clock.rule,
            confirm_by: each.isConfirmed ? null : (each.clock.acknowledge?.day ?? null),
            answer_by: each.clock.due.day,
            extended: each.isExtended,
          }));
          printRows(rows, { json, empty: "No request waits for an answer." });
        },
      );
    });
  clock
    .command("confirm")
    .description("note that the person was told that the request has come")
    .argument("<request>", "its id")
    .action(async (requestId: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ pool, json }) => {
        await confirmReceipt(pool, requestId, actor());
        console.log(json ? JSON.stringify({ request: requestId }) : "Noted.");
      });
    });
  clock
    .command("extend")
    .description("give a request the longest time that its law allows, once the person was told why")
    .argument("<request>", "its id")
    .addOption(new Option("--reason <ground>", "why").choices(EXTENSION_REASONS).makeOptionMandatory())
    .requiredOption("--told <time>", "when the notice went out, ISO 8601", parseTime)
    .action(async (requestId: string, options: { reason: ExtensionReason; told: Date }, command: Command) => {
      await withSession(
        command.optsWithGlobals<GlobalOptions>(),
        { worker: false },
        async ({ pool, project, json }) => {
          const { reason, told: toldAt } = options;
          const due = await extendRequest(pool, { requestId, reason, toldAt, actor: actor() }, project.timeZone);
          console.log(json ? JSON.stringify(due) : `The answer is due by the end of ${due.day}.`);
        },
      );
    });
}
