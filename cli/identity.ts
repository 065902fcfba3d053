import { WorkflowIdConflictPolicy, WorkflowNotFoundError } from "@temporalio/client";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { BUILD_WORKFLOW_ID, DECIDE_RULES_SIGNAL, IDENTITY_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import type { BuildReport, IdentityApplication, IdentityPlan, RulesDecision } from "../domain/runs.ts";
import { findBlocked } from "../warehouse/blocked.ts";
import { readCustomerGraph } from "../warehouse/identity/customer-graph.ts";
import { areDecisionsBuilt, decideMerge, decideSplit } from "../warehouse/identity/decide.ts";
import { readHeldRules } from "../warehouse/identity/rules.ts";
import { explainCustomer, findCustomer, readConflicts } from "../warehouse/identity/explain.ts";
import { planIdentity } from "../warehouse/identity/plan.ts";
import { explainAttribute } from "../warehouse/identity/survivorship.ts";
import { sensitiveColumns } from "../warehouse/models/sensitive.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

const UNDEFINED_TABLE = "42P01";
const MOST_CONFLICTS = 100;
const PURPOSE = "why, for the audit";

interface WhyOptions {
  attribute?: string;
}

/** `miette identity …`: who is who and why, and what people decide of it. */
export function registerIdentity(program: Command): void {
  const identity = program.command("identity").description("who is who, and why");
  identity
    .command("why")
    .description("the links that make a customer one, or the chain between two of the identifiers")
    .argument("<customer>", "a customer's id, also one that was merged")
    .argument("[token]", "an identifier's token")
    .argument("[other]", "another one's")
    .option(
      "--attribute <name>",
      "which records tell this attribute of the customer, and which of them won by what rule",
    )
    .action(
      (customer: string, token: string | undefined, other: string | undefined, options: WhyOptions, command: Command) =>
        withIdentity(command, false, async (session) => {
          if (options.attribute !== undefined) {
            if (token !== undefined) throw new UserError("a chain has no attribute; name two tokens or --attribute.");
            return await printAttribute(session, customer, options.attribute);
          }
          if (token !== undefined && other === undefined) {
            throw new UserError("a chain has two ends; name two tokens, or none.");
          }
          const pair = token !== undefined && other !== undefined ? ([token, other] as const) : null;
          const { anchorToken, customerId, links } = await explainCustomer(
            session.pool,
            session.project.identity,
            customer,
            pair,
          );
          if (session.json) return console.log(JSON.stringify({ customerId, anchorToken, links }));
          if (customerId !== customer) console.log(`${customer} is part of ${customerId} now.`);
          console.log(`Customer ${customerId}, kept with ${anchorToken}`);
          printRows(
            links.map(({ strongerToken, weakerToken, recordKey }) => ({
              identifier: strongerToken,
              "is one with": weakerToken,
              "because of": recordKey ? `record ${recordKey}` : "a merge by hand",
            })),
            { json: false, empty: "One identifier, without links." },
          );
        }),
    );
  identity
    .command("graph")
    .description("a customer's identifiers and links, with their sources and dates")
    .argument("<customer>", "a customer's id, also one that was merged")
    .action((customer: string, _options: unknown, command: Command) =>
      withIdentity(command, false, async (session) => {
        const { customerId } = await findCustomer(session.pool, customer);
        const graph = await readCustomerGraph(session.pool, session.project.identity, customerId);
        if (!graph) throw new UserError(`there is no customer ${customerId} any more.`);
        if (session.json) return console.log(JSON.stringify(graph));
        console.log(`Customer ${customerId}, ${graph.records} records`);
        for (const former of graph.formerIds) console.log(`was also ${former}`);
        printRows(
          graph.identifiers.map(({ token, kind, isAnchor, isHidden, sources, firstSeenAt, lastSeenAt }) => ({
            identifier: token,
            kind,
            is: [isAnchor && "anchor", isHidden && "shared or blocked"].filter(Boolean).join(", "),
            sources: sources.join(", "),
            "first seen": firstSeenAt,
            "last seen": lastSeenAt,
          })),
          { json: false, empty: "" },
        );
        printRows(
          graph.links.map(({ strongerToken, weakerToken, role, records, sources, reason, otherCustomerId }) => ({
            link: strongerToken,
            to: weakerToken,
            role: otherCustomerId ? `${role} (${reason}): customer ${otherCustomerId}` : role,
            records,
            sources: sources.join(", "),
          })),
          { json: false, empty: "No links." },
        );
      }),
    );
  identity
    .command("plan")
    .description("what the rules of miette.yaml, as they stand now, would change of who is who; nothing moves")
    .option("--apply", "put the rules into force once somebody approves them; until then builds keep those before")
    .action(({ apply }: { apply?: boolean }, command: Command) =>
      withIdentity(command, apply ?? false, async (session) => {
        const { pool, vault, project } = session;
        const plan = await planIdentity(pool, project.identity, await findBlocked(pool, vault, project.identity));
        const held = await readHeldRules(pool, project.identity);
        if (session.json) console.log(JSON.stringify({ ...plan, held }));
        else printPlan(plan);
        if (held && !session.json) {
          const state = held.status === "waiting" ? "wait for approval" : "were refused";
          console.log(
            `These rules ${state} (asked for at ${held.requestedAt} by ${held.requestedBy}); builds go by those before.`,
          );
        }
        if (!apply) return;
        await session.client.workflow.start("applyIdentity", {
          workflowId: IDENTITY_WORKFLOW_ID,
          taskQueue: TASK_QUEUE,
          args: [{ actor: actor() }],
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
          staticSummary: "changed identity rules",
        });
        if (!session.json) console.log("Waits for miette identity approve, or refuse.");
      }),
    );
  for (const [name, isApproved, description] of [
    ["approve", true, "approve the rules that wait; a build then applies them"],
    ["refuse", false, "refuse the rules that wait; those before stay in force"],
  ] as const) {
    identity
      .command(name)
      .description(description)
      .action((_options: unknown, command: Command) =>
        withIdentity(command, true, async (session) => {
          const handle = session.client.workflow.getHandle(IDENTITY_WORKFLOW_ID);
          const decision: RulesDecision = { isApproved, actor: actor() };
          await handle.signal(DECIDE_RULES_SIGNAL, decision).catch((error: unknown) => {
            if (!(error instanceof WorkflowNotFoundError)) throw error;
            throw new UserError('no rules wait for approval; run "miette identity plan --apply" first.');
          });
          const report = (await handle.result()) as IdentityApplication;
          if (session.json) return console.log(JSON.stringify(report));
          console.log(isApproved ? "Approved; a build applies them." : "Refused; the rules before stay in force.");
        }),
      );
  }
  identity
    .command("conflicts")
    .description("links that were refused, and which rule they would have broken")
    .action((_options: unknown, command: Command) =>
      withIdentity(command, false, async (session) => {
        const { total, conflicts } = await readConflicts(session.pool, MOST_CONFLICTS);
        if (session.json) return console.log(JSON.stringify({ total, conflicts }));
        printRows(
          conflicts.map(({ reason, limitKind, personLimit, strongerToken, weakerToken, ...each }) => ({
            refused: strongerToken,
            with: weakerToken,
            because: reason === "split" ? "split by hand" : `${reason} of ${limitKind}: ${personLimit}`,
            record: each.recordKey,
            customer: each.customerId,
            other: each.otherCustomerId,
          })),
          { json: false, empty: "No link was refused." },
        );
        if (total > conflicts.length) {
          console.log(`(the first ${conflicts.length} of ${total}; core.identity_conflicts has all)`);
        }
      }),
    );
  identity
    .command("split")
    .description("undo the link between two identifiers, for this build and all to come")
    .argument("<token>", "an identifier's token")
    .argument("<other>", "the one it is linked to")
    .option("--purpose <text>", PURPOSE)
    .action((token: string, other: string, { purpose }: { purpose?: string }, command: Command) =>
      withIdentity(command, true, async (session) => {
        await decideSplit(session.pool, session.project.identity, [token, other], actor(), purpose);
        await buildDecisions(session);
      }),
    );
  identity
    .command("merge")
    .description("make two customers one by hand")
    .argument("<customer>", "a customer's id, or an identifier's token")
    .argument("<other>", "another one's")
    .option("--purpose <text>", PURPOSE)
    .action((customer: string, other: string, { purpose }: { purpose?: string }, command: Command) =>
      withIdentity(command, true, async (session) => {
        await decideMerge(session.pool, [customer, other], actor(), purpose);
        await buildDecisions(session);
      }),
    );
}

async function printAttribute(session: Session, customer: string, attribute: string): Promise<void> {
  const { steps } = await session.graph();
  const columns = sensitiveColumns(
    session.project.sources.flatMap(({ streams }) => streams),
    steps,
  ).get("core.customer_records");
  const sensitive = columns?.get(attribute) ?? null;
  const { customerId, rule, records } = await explainAttribute(session.pool, customer, attribute, sensitive);
  if (session.json) return console.log(JSON.stringify({ customerId, rule, sensitive, records }));
  console.log(
    `${attribute} of customer ${customerId}, by ${[rule.by, rule.sources.join(", ")].filter(Boolean).join(": ")}`,
  );
  printRows(
    records.map(({ value, source, recordKey, registeredAt, records: count }, index) => ({
      won: index === 0 ? "won" : "",
      value: value ?? `(${sensitive?.replace("_", " ")}: not shown)`,
      source,
      registered: registeredAt,
      "records with it": count,
      record: recordKey,
    })),
    { json: false, empty: "No record names a value." },
  );
}

function printPlan(plan: IdentityPlan): void {
  const change = (what: string, before: number, after: number) => ({ what, before, after });
  printRows(
    [
      change("people", plan.peopleBefore, plan.peopleAfter),
      change("refused links", plan.conflictsBefore, plan.conflictsAfter),
      change("shared or blocked identifiers", plan.hiddenBefore, plan.hiddenAfter),
    ],
    { json: false, empty: "" },
  );
  console.log(
    `${plan.merges} people would be merged into others, ${plan.splits} come apart; ${plan.recordsMoved} records move, among them ${plan.ordersMoved} orders of ${plan.revenueMoved} ${plan.currency}.`,
  );
  if (plan.moves.length === 0) return;
  printRows(
    plan.moves.map(({ from, to, isKnown, orders, revenue }) => ({
      from: from ?? "nobody",
      to: to === null ? "nobody" : isKnown ? to : "somebody new",
      orders,
      revenue,
    })),
    { json: false, empty: "" },
  );
}

async function withIdentity(
  command: Command,
  worker: boolean,
  work: (session: Session) => Promise<unknown>,
): Promise<void> {
  await withSession(command.optsWithGlobals<GlobalOptions>(), { worker }, async (session) => {
    try {
      await work(session);
    } catch (error) {
      if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error;
      throw new UserError('no build has said who is who yet; run "miette build" first.');
    }
  });
}

/** A build that is under way may have read before the decision was made: another one follows it. */
async function buildDecisions(session: Session): Promise<void> {
  let report: BuildReport;
  do {
    report = await runWorkflow<BuildReport>(session.client, "buildModels", {
      workflowId: BUILD_WORKFLOW_ID,
      input: {},
      summary: "models after a decision",
      quiet: session.json,
    });
  } while (!(await areDecisionsBuilt(session.pool)));
  const { inserted, updated, deleted } = report;
  if (session.json) console.log(JSON.stringify({ inserted, updated, deleted }));
  else console.log(`Done: ${inserted} rows inserted, ${updated} updated, ${deleted} deleted.`);
}
