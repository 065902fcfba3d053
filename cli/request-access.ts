import { createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { Option, type Command } from "commander";
import { JURISDICTIONS } from "../domain/clocks.ts";
import type { RequestReport } from "../domain/requests.ts";
import { takeArchive } from "../warehouse/access/store.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { actor } from "./actor.ts";
import { leaveToPerson, withAgent, type AgentOptions } from "./request-agent.ts";
import { readNames, withSubject, type SubjectOptions } from "./request-subject.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

interface AccessOptions extends SubjectOptions, AgentOptions {
  jurisdiction?: string;
  portable?: boolean;
  out?: string;
}

/** The request for a copy of one's data, and the taking of its archive. */
export function registerAccess(request: Command): void {
  withAgent(withSubject(request.command("access")))
    .description(
      "write everything that is held about a person into one encrypted archive; its passphrase is shown once",
    )
    .addOption(new Option("--jurisdiction <law>", "whose law it falls under").choices(JURISDICTIONS))
    .option("--portable", "only what the person has given, to take along elsewhere (GDPR article 20)")
    .option("--out <file>", "take the archive into a file at once")
    .action(async (options: AccessOptions, command: Command) => {
      const named = readNames(options);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const taken = await takeIn(session.pool, session.vault, session.project, {
          kind: options.portable ? "portability" : "access",
          channel: "cli",
          jurisdiction: options.jurisdiction ?? null,
          named,
          ...(options.agent !== undefined && { agent: options.agent }),
          actor: actor(),
        });
        if (options.agent !== undefined) return await leaveToPerson(session, taken);
        const { requestId, workflow, passphrase } = taken;
        const report = await runWorkflow<RequestReport>(session.client, workflow.type, {
          workflowId: workflow.workflowId,
          input: { requestId, actor: actor(), approvedBy: actor() },
          summary: "access",
          quiet: session.json,
        });
        if (options.out !== undefined) await take(session.pool, requestId, options.out);
        if (session.json) return console.log(JSON.stringify({ requestId, passphrase, ...report }));
        console.log(
          options.out === undefined
            ? `Request ${requestId} is ${report.state}: miette request take ${requestId} --out FILE.zip hands the archive out, once.`
            : `Request ${requestId} is ${report.state}: ${options.out}.`,
        );
        console.log(`Passphrase, shown this once: ${passphrase}`);
      });
    });
  request
    .command("take")
    .description("take a finished archive into a file; it is handed out once")
    .argument("<request>", "its id")
    .requiredOption("--out <file>", "where to write it: a zip that 7-Zip, WinZip and Keka open with the passphrase")
    .action(async (requestId: string, { out }: { out: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ pool, json }) => {
        await take(pool, requestId, out);
        console.log(json ? JSON.stringify({ requestId, file: out }) : `Written to ${out}.`);
      });
    });
}

/** For its owner alone, there whole or not at all. */
async function take(pool: Parameters<typeof takeArchive>[0], requestId: string, out: string): Promise<void> {
  const half = `${out}.part`;
  await takeArchive(pool, requestId, actor(), async (parts) => {
    await pipeline(parts, createWriteStream(half, { mode: 0o600, flags: "wx" }));
    await rename(half, out);
  });
}
