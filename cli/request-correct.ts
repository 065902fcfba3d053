import { readFileSync } from "node:fs";
import { Option, type Command } from "commander";
import { JURISDICTIONS } from "../domain/clocks.ts";
import { UserError } from "../domain/errors.ts";
import type { RequestReport } from "../domain/requests.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { readRequest } from "../warehouse/requests/store.ts";
import { actor } from "./actor.ts";
import { leaveToPerson, withAgent, type AgentOptions } from "./request-agent.ts";
import { readNames, withSubject, type SubjectOptions } from "./request-subject.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

interface CorrectOptions extends SubjectOptions, AgentOptions {
  values: string;
  jurisdiction?: string;
}

/** The request to put right what is wrong, and its taking back. */
export function registerCorrection(request: Command): void {
  withAgent(withSubject(request.command("correct")))
    .description("put right what is wrong of a person, so that the next sync does not undo it")
    .requiredOption(
      "--values <file>",
      'JSON of the right values, {"source.stream.field": "value"}; - reads standard input',
    )
    .addOption(new Option("--jurisdiction <law>", "whose law it falls under").choices(JURISDICTIONS))
    .action(async (options: CorrectOptions, command: Command) => {
      const values = readValues(options.values);
      const named = readNames(options);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const taken = await takeIn(session.pool, session.vault, session.project, {
          kind: "correction",
          channel: "cli",
          jurisdiction: options.jurisdiction ?? null,
          named,
          values,
          ...(options.agent !== undefined && { agent: options.agent }),
          actor: actor(),
        });
        if (options.agent !== undefined) return await leaveToPerson(session, taken);
        const { requestId, workflow } = taken;
        const report = await runWorkflow<RequestReport>(session.client, workflow.type, {
          workflowId: workflow.workflowId,
          input: { requestId, actor: actor(), approvedBy: actor() },
          summary: "correction",
          quiet: session.json,
        });
        console.log(
          session.json
            ? JSON.stringify({ requestId, ...report })
            : `Request ${requestId} is ${report.state}; receipt ${report.receipt}.`,
        );
      });
    });
  request
    .command("release")
    .description("take a correction back: what the source has sent stands again")
    .argument("<request>", "the id of the correction")
    .action(async (requestId: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const { kind } = await readRequest(session.pool, requestId);
        if (kind !== "correction")
          throw new UserError(`is a request of kind ${kind}, and no correction`, { key: "request" });
        const report = await runWorkflow<{ values: number }>(session.client, "releaseCorrection", {
          workflowId: `release:${requestId}`,
          input: { requestId, actor: actor() },
          summary: "correction taken back",
          quiet: session.json,
        });
        console.log(
          session.json
            ? JSON.stringify({ requestId, ...report })
            : `${report.values} values stand as the source sent them.`,
        );
      });
    });
}

function readValues(file: string): Record<string, string | null> {
  const place = { key: "--values" };
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  } catch {
    throw new UserError("can't be read as JSON", place);
  }
  const isObject = typeof found === "object" && found !== null && !Array.isArray(found);
  if (!isObject || Object.values(found as object).some((value) => value !== null && typeof value !== "string")) {
    throw new UserError(
      'must be one object of texts, {"source.stream.field": "value"}; null says that there is none',
      place,
    );
  }
  return found as Record<string, string | null>;
}
