import type { Command } from "commander";
import { REFUSAL_REASONS } from "../domain/refusals.ts";
import { requestWorkflow } from "../domain/ids.ts";
import { readRequest } from "../warehouse/requests/store.ts";
import { refuseRequest } from "../warehouse/requests/refuse.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** The refusal of a request, with what the person has to be told. */
export function registerRefusal(request: Command): void {
  request
    .command("refuse")
    .description("refuse a request, and print what the person has to be told: why, and where to complain")
    .argument("<request>", "its id")
    .requiredOption("--reason <ground>", `why: ${Object.keys(REFUSAL_REASONS).join(", ")}`)
    .action(async (requestId: string, { reason }: { reason: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const { kind } = await readRequest(session.pool, requestId);
        const refused = await refuseRequest(session.pool, session.vault, { requestId, reason, actor: actor() });
        // Whatever waits for an approval or an identity ends; where nothing does, the warehouse has said it.
        await session.client.workflow
          .getHandle(requestWorkflow(kind, requestId).workflowId)
          .signal("cancel", actor())
          .catch(() => undefined);
        if (session.json) return console.log(JSON.stringify({ requestId, state: "refused", ...refused }));
        console.log(`Request ${requestId} is refused; receipt ${refused.receipt}. Tell the person:`);
        console.log(`We can't do what you have asked: ${refused.why}. ${refused.complaint}`);
      });
    });
}
