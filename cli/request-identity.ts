import { Option, type Command } from "commander";
import { IDENTITY_PROOFS, type IdentityProof } from "../domain/requests.ts";
import { serveWorkflowId } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge } from "../warehouse/requests/identity.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** How who asks is shown to be who they say. */
export function registerIdentityCheck(request: Command): void {
  request
    .command("verify")
    .description("note that who asks has shown who they are, so that the request goes on")
    .argument("<request>", "its id")
    .addOption(
      new Option("--by <proof>", "how it was shown")
        .choices(IDENTITY_PROOFS.filter((proof) => proof !== "challenge"))
        .makeOptionMandatory(),
    )
    .action(async (requestId: string, { by }: { by: IdentityProof }, command: Command) => {
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
    .action(async (requestId: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const code = await makeChallenge(session.pool, requestId, actor());
        console.log(session.json ? JSON.stringify({ requestId, code }) : code);
      });
    });
}
