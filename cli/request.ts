import { setTimeout as sleep } from "node:timers/promises";
import type { WorkflowHandle } from "@temporalio/client";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { erasureWorkflowId, readmissionWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { ErasurePlan, ErasureReport } from "../domain/requests.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { listRequests, readRequest } from "../warehouse/requests/store.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { leaveToPerson, registerAgent, withAgent, type AgentOptions } from "./request-agent.ts";
import { registerAccess } from "./request-access.ts";
import { registerCorrection } from "./request-correct.ts";
import { registerChoices } from "./request-choice.ts";
import { registerIdentityCheck } from "./request-identity.ts";
import { registerRefusal } from "./request-refuse.ts";
import { registerTasks } from "./request-task.ts";
import { readNames, withSubject, type SubjectOptions } from "./request-subject.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

const LOOK_EVERY_MS = 300;

export function registerRequest(program: Command): void {
  const request = program.command("request");
  withAgent(withSubject(request.command("erase")))
    .description("erase a person everywhere; without --yes, show the plan and wait for request approve")
    .option("--jurisdiction <code>", "whose law it falls under: EU, UK, US-CA")
    .option(
      "--grace <hours>",
      "carry it out no earlier than so many hours from now; until then it can be cancelled",
      "0",
    )
    .option("--yes", "carry the plan out without asking again")
    .option("--wait", "stay until the receipt is there")
    .action(async (options: SubjectOptions & AgentOptions & EraseOptions, command: Command) => {
      const named = readNames(options);
      const grace = Number(options.grace);
      if (!(grace >= 0 && grace <= 720)) throw new UserError("must be hours from 0 to 720", { key: "--grace" });
      if (options.wait && !options.yes)
        throw new UserError("needs --yes: a plan that nobody approves never ends", { key: "--wait" });
      if (options.agent !== undefined && options.yes)
        throw new UserError("can't be approved before the agent's mandate is shown", { key: "--yes" });
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const taken = await takeIn(session.pool, session.vault, session.project, {
          kind: "erasure",
          channel: "cli",
          jurisdiction: options.jurisdiction ?? null,
          notBefore: grace > 0 ? new Date(Date.now() + grace * 3_600_000) : null,
          named,
          ...(options.agent !== undefined && { agent: options.agent }),
          actor: actor(),
        });
        if (options.agent !== undefined) return await leaveToPerson(session, taken);
        const { requestId } = taken;
        await startErasure(session, requestId, options.yes ? actor() : null);
        await (options.wait ? showReport(session, requestId) : showPlan(session, requestId, options.yes ?? false));
      });
    });
  withSubject(request.command("readmit"))
    .description("let an erased person in again, by what they are named with here; what was erased stays gone")
    .action(async (options: SubjectOptions, command: Command) => {
      const named = readNames(options);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const { requestId } = await takeIn(session.pool, session.vault, session.project, {
          kind: "readmission",
          channel: "cli",
          jurisdiction: null,
          named,
          actor: actor(),
        });
        const report = await runWorkflow<{ receipt: number | null }>(session.client, "readmitSubject", {
          workflowId: readmissionWorkflowId(requestId),
          input: { requestId, actor: actor() },
          summary: "readmission",
          quiet: session.json,
        });
        console.log(
          session.json
            ? JSON.stringify({ requestId, ...report })
            : `Request ${requestId} is completed: from the next sync on, records of the person land again; receipt ${report.receipt}.`,
        );
      });
    });
  registerAccess(request);
  registerCorrection(request);
  registerChoices(request);
  registerIdentityCheck(request);
  registerAgent(request);
  registerRefusal(request);
  registerTasks(request);
  request
    .command("approve")
    .description("carry out a request as its plan says")
    .argument("<request>", "its id")
    .option("--wait", "stay until the receipt is there")
    .action(async (requestId: string, { wait }: { wait?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        await signalErasure(session, requestId, "approve");
        if (wait) return await showReport(session, requestId);
        console.log(
          session.json ? JSON.stringify({ requestId, state: "approved" }) : `Request ${requestId} is approved.`,
        );
      });
    });
  request
    .command("cancel")
    .description("take a request back, as long as nothing of it was carried out")
    .argument("<request>", "its id")
    .action(async (requestId: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        await signalErasure(session, requestId, "cancel");
        await showReport(session, requestId);
      });
    });
}

export function registerRequests(program: Command): void {
  program.command("requests").action(async (_options: unknown, command: Command) => {
    await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
      printRows(
        (await listRequests(session.auditorPool)).map(
          ({ requestId, kind, state, jurisdiction, receivedAt, dueAt }) => ({
            request: requestId,
            kind,
            state,
            jurisdiction,
            received: receivedAt,
            due: dueAt,
          }),
        ),
        { json: session.json, empty: "Nobody has asked for anything." },
      );
    });
  });
}

interface EraseOptions {
  jurisdiction?: string;
  grace: string;
  yes?: boolean;
  wait?: boolean;
}

/** Tells an erasure's workflow what was decided; one that was never started, or has gone, is started for it. */
async function signalErasure(session: Session, requestId: string, signal: "approve" | "cancel"): Promise<void> {
  const { kind, state, completedAt } = await readRequest(session.pool, requestId);
  if (kind !== "erasure" || completedAt !== null) {
    throw new UserError(`is a request of kind ${kind}, and ${state}; there is nothing to decide`, { key: "request" });
  }
  await session.client.workflow.signalWithStart("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: actor(), approvedBy: null }],
    signal,
    signalArgs: [actor()],
  });
}

async function startErasure(session: Session, requestId: string, approvedBy: string | null): Promise<WorkflowHandle> {
  return await session.client.workflow.start("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: actor(), approvedBy }],
    staticSummary: "erasure",
  });
}

async function showPlan(session: Session, requestId: string, isApproved: boolean): Promise<void> {
  const failure = session.client.workflow
    .getHandle(erasureWorkflowId(requestId))
    .result()
    .then(
      () => undefined,
      () => undefined,
    );
  let plan: ErasurePlan | null = null;
  for (let isOver = false; plan === null && !isOver;) {
    ({ plan } = await readRequest(session.pool, requestId));
    if (plan === null) isOver = await Promise.race([failure.then(() => true), sleep(LOOK_EVERY_MS, false)]);
  }
  // What went wrong is told as by any other command.
  if (plan === null || plan.errors.length > 0) return await showReport(session, requestId);
  if (session.json) return console.log(JSON.stringify({ requestId, plan }));
  printPlan(plan);
  console.log(
    isApproved
      ? `Request ${requestId} is being carried out; miette requests tells how far it is.`
      : `Request ${requestId} waits: miette request approve ${requestId} carries it out, miette request cancel ${requestId} takes it back.`,
  );
}

async function showReport(session: Session, requestId: string): Promise<void> {
  const report = await runWorkflow<ErasureReport>(session.client, "eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    input: { requestId, actor: actor(), approvedBy: null },
    summary: "erasure",
    quiet: session.json,
  });
  if (session.json) return console.log(JSON.stringify({ requestId, ...report }));
  printPlan(report.plan);
  console.log(
    report.receipt === null
      ? `Request ${requestId} is ${report.state}.`
      : `Request ${requestId} is ${report.state.replaceAll("_", " ")}; miette receipt show ${requestId} prints the receipt.`,
  );
  if (report.recipients.length > 0) {
    console.log(
      `Tell ${report.recipients.join(", ")}: what was handed over before is out of reach of an erasure here.`,
    );
  }
}

function printPlan({ relations, people, identifiers, unscanned, held = [] }: ErasurePlan): void {
  const of = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;
  console.log(`${of(people, "person", "people")}, ${of(identifiers, "identifier", "identifiers")}`);
  printRows(
    relations.map(({ relation, action, rows }) => ({ relation, action, rows })),
    { json: false, empty: "Nothing is stored that would go." },
  );
  for (const each of held) {
    console.log(
      `held: ${each.rows} of ${each.relation} for ${each.purpose} (${each.law}), until ${each.until ?? "it is released"}`,
    );
  }
  for (const place of unscanned) console.log(`not looked into: ${place}`);
}
