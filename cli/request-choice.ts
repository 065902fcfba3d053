import { Option, type Command } from "commander";
import { JURISDICTIONS } from "../domain/clocks.ts";
import type { RequestKind, RequestReport, RequestTerms } from "../domain/requests.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { actor } from "./actor.ts";
import { leaveToPerson, withAgent, type AgentOptions } from "./request-agent.ts";
import { readNames, withSubject, type SubjectOptions } from "./request-subject.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { parseTime } from "./time.ts";
import { runWorkflow } from "./workflow.ts";

interface ChoiceOptions extends SubjectOptions, AgentOptions {
  purpose: string[];
  jurisdiction?: string;
  lift?: boolean;
  withdraw?: boolean;
  notice?: string;
  expires?: Date;
}

const CHOICES: readonly [command: string, kind: RequestKind, does: string][] = [
  ["object", "objection", "no use for a purpose, or for any: the person leaves segments at once (GDPR article 21)"],
  ["opt-out", "opt_out", "no sale or sharing of the person's data (CCPA § 1798.120)"],
  ["limit", "limit", "no use of sensitive data beyond what the service needs (CCPA § 1798.121)"],
  ["restrict", "restriction", "data is stored and not used: the person leaves the mart (GDPR article 18)"],
];

/** The requests that say how data may be used. */
export function registerChoices(request: Command): void {
  for (const [name, kind, does] of CHOICES) {
    const command = withAgent(withSubject(request.command(name))).description(does);
    if (kind === "objection" || kind === "opt_out") withPurpose(command);
    withLaw(command)
      .option("--lift", "take it back")
      .action(async (options: ChoiceOptions, self: Command) => {
        await ask(self, kind, options, { ...(options.lift && { isLifted: true }) });
      });
  }
  withLaw(withPurpose(withAgent(withSubject(request.command("consent")))))
    .description("the person says yes to a purpose")
    .option("--withdraw", "takes it back")
    .option("--notice <version>", "which text the person was shown")
    .option("--expires <time>", "until when it holds, ISO 8601", parseTime)
    .action(async (options: ChoiceOptions, self: Command) => {
      await ask(self, "consent", options, {
        ...(options.withdraw && { isLifted: true }),
        ...(options.notice !== undefined && { noticeVersion: options.notice }),
        ...(options.expires && { expiresAt: options.expires.toISOString() }),
      });
    });
}

async function ask(command: Command, kind: RequestKind, options: ChoiceOptions, terms: RequestTerms): Promise<void> {
  const named = readNames(options);
  await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
    const taken = await takeIn(session.pool, session.vault, session.project, {
      kind,
      channel: "cli",
      jurisdiction: options.jurisdiction ?? null,
      named,
      terms: { ...terms, ...(options.purpose?.length > 0 && { purposes: options.purpose }) },
      ...(options.agent !== undefined && { agent: options.agent }),
      actor: actor(),
    });
    if (options.agent !== undefined) return await leaveToPerson(session, taken);
    const { requestId, workflow } = taken;
    const report = await runWorkflow<RequestReport>(session.client, workflow.type, {
      workflowId: workflow.workflowId,
      input: { requestId, actor: actor(), approvedBy: actor() },
      summary: kind,
      quiet: session.json,
    });
    console.log(
      session.json
        ? JSON.stringify({ requestId, ...report })
        : `Request ${requestId} is ${report.state}; receipt ${report.receipt}.`,
    );
  });
}

function withPurpose(command: Command): Command {
  const more = (value: string, before: string[]): string[] => [...before, value];
  return command.option("--purpose <name>", "what it is about, as in marketing; without it, all purposes", more, []);
}

function withLaw(command: Command): Command {
  return command.addOption(new Option("--jurisdiction <law>", "whose law it falls under").choices(JURISDICTIONS));
}
