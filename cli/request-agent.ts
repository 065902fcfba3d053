import { WorkflowIdReusePolicy } from "@temporalio/client";
import { Option, type Command } from "commander";
import { serveWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { openAgent } from "../warehouse/requests/identity.ts";
import type { TakenIn } from "../warehouse/requests/intake.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";

export interface AgentOptions {
  agent?: string;
}

/** The option by which a request says that somebody asks for the person. */
export function withAgent(command: Command): Command {
  return command.addOption(
    new Option(
      "--agent <name>",
      "who asks for the person; it waits until the person confirms it, or verify notes a mandate",
    ),
  );
}

/** Whose request it is, for who looks into a mandate. */
export function registerAgent(request: Command): void {
  request
    .command("agent")
    .description("show which agent has made a request")
    .argument("<request>", "its id")
    .action(async (requestId: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ pool, vault, json }) => {
        const agent = await openAgent(pool, vault, requestId, actor());
        console.log(json ? JSON.stringify({ requestId, agent }) : agent);
      });
    });
}

/** Leaves a request to the person, who confirms it, or to whoever looks into the agent's mandate; then it is carried out. */
export async function leaveToPerson(session: Session, { requestId, passphrase }: TakenIn): Promise<void> {
  await session.client.workflow.start("serveRequest", {
    workflowId: serveWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId }],
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    staticSummary: "a request by an agent",
  });
  if (session.json) return console.log(JSON.stringify({ requestId, state: "received", passphrase }));
  console.log(
    `Request ${requestId} waits: miette request challenge ${requestId} asks the person, miette request verify ${requestId} notes the agent's mandate.`,
  );
  if (passphrase !== null) console.log(`Passphrase, shown this once, for the person alone: ${passphrase}`);
}
