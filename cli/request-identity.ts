import { Option, type Command } from "commander";
import { IDENTITY_PROOFS, MANDATES, type IdentityProof, type Mandate } from "../domain/requests.ts";
import type { DeliveryState } from "../domain/destinations.ts";
import { challengeWorkflowId, serveWorkflowId } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge } from "../warehouse/requests/identity.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

/** How who asks is shown to be who they say. */
export function registerIdentityCheck(request: Command): void {
  request
    .command("verify")
    .description("note that who asks has shown who they are, or an agent their mandate, so that the request goes on")
    .argument("<request>", "its id")
    .addOption(
      new Option("--by <proof>", "how it was shown")
        .choices([...IDENTITY_PROOFS.filter((proof) => proof !== "challenge"), ...MANDATES])
        .makeOptionMandatory(),
    )
    .action(async (requestId: string, { by }: { by: IdentityProof | Mandate }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        await confirmIdentity(session.pool, requestId, by, actor());
        await session.client.workflow.getHandle(serveWorkflowId(requestId)).signal("identified");
        console.log(session.json ? JSON.stringify({ requestId, state: "verified" }) : "Noted; the request goes on.");
      });
    });
  request
    .command("challenge")
    .description("make a one-time code, to be sent to an address that is held of the person, never to one just given")
    .argument("<request>", "its id")
    .option(
      "--through <destination>",
      "send it through a destination to an address that is held, and show it to nobody; without it, the code is shown",
    )
    .action(async (requestId: string, { through }: { through?: string }, command: Command) => {
      await withSession(
        command.optsWithGlobals<GlobalOptions>(),
        { worker: through !== undefined },
        async (session) => {
          const { client, json, pool, vault } = session;
          if (through === undefined) {
            const { code } = await makeChallenge(pool, vault, requestId, actor());
            return console.log(json ? JSON.stringify({ requestId, code }) : code);
          }
          const { state } = await runWorkflow<{ state: DeliveryState }>(client, "challengeSubject", {
            workflowId: challengeWorkflowId(requestId),
            input: { requestId, destination: through, actor: actor() },
            summary: "a code for who asks",
            quiet: json,
          });
          console.log(
            json
              ? JSON.stringify({ requestId, destination: through, state })
              : `${through} has the code, and passes it on to an address that is held of the person (${state}).`,
          );
        },
      );
    });
}
