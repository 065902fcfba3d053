import { ApplicationFailure, condition, defineSignal, setCurrentDetails, setHandler } from "@temporalio/workflow";
import { ERASURE_WORKFLOW_ID, recheckWorkflowId } from "../domain/ids.ts";
import type { ErasurePlan, ErasureReport } from "../domain/requests.ts";
import { planning, workingOn } from "./activities.ts";
import { startApart, startOrSignal } from "./apart.ts";
import { attendRequest } from "./attend-request.ts";
import { doneByHand, eraseElsewhere } from "./erase-elsewhere.ts";
import { eraseBatch, eraseMore } from "./erase-batch.ts";
import { recheckErasure } from "./recheck-erasure.ts";
import { describeRun } from "./search-attributes.ts";

/** Says that the plan is to be carried out, and who says so. */
export const approve = defineSignal<[string]>("approve");
/** The batch that the request is part of has come to its end. */
export const erased = defineSignal("erased");

/**
 * One person's erasure from plan to receipt. It knows an id: whom it is about lies sealed in the warehouse. Requests that are
 * approved at the same time are carried out together.
 */
export async function eraseSubject(input: {
  requestId: string;
  actor: string;
  approvedBy: string | null;
}): Promise<ErasureReport> {
  const { requestId } = input;
  describeRun({ kind: "request" });
  let approvedBy = input.approvedBy;
  let isErased = false;
  setHandler(approve, (actor) => void (approvedBy ??= actor));
  setHandler(erased, () => void (isErased = true));
  const byHand = new Set<string>();
  setHandler(doneByHand, (destination) => void byHand.add(destination));
  const attended = attendRequest(requestId);
  const ended = await attended.begin();
  if (ended !== null) return { state: ended, receipt: null, recipients: [], plan: NOTHING };

  setCurrentDetails("planning");
  const plan = await workingOn("plan").planErasure({ requestId, actor: input.actor });
  if (plan.errors.length > 0) throw ApplicationFailure.nonRetryable(plan.errors.join("\n"), "user_error");
  setCurrentDetails(describe(plan, "waiting for approval"));
  await condition(() => approvedBy !== null || attended.cancelledBy !== null);
  if (attended.cancelledBy === null) {
    const grace = await planning.approveRequest({ requestId, actor: approvedBy as unknown as string });
    setCurrentDetails(describe(plan, grace > 0 ? "approved, may still be cancelled" : "approved"));
    if (grace > 0 && !(await condition(() => attended.cancelledBy !== null, grace))) {
      await planning.endGrace({ requestId });
    }
  }
  if (attended.cancelledBy !== null) {
    const state = await planning.cancelRequest({ requestId, actor: attended.cancelledBy });
    if (state === "cancelled" || state === "refused") return { state, receipt: null, recipients: [], plan };
  }
  await startOrSignal(eraseBatch, { args: [], workflowId: ERASURE_WORKFLOW_ID, summary: "erasures" }, eraseMore);
  setCurrentDetails(describe(plan, "being carried out"));
  await condition(() => isErased);
  setCurrentDetails(describe(plan, "being carried out elsewhere"));
  await eraseElsewhere(requestId, byHand);
  const { state, receipt, recipients, held } = await planning.completeErasure({ requestId });
  await startApart(recheckErasure, {
    args: [{ requestId }],
    workflowId: recheckWorkflowId(requestId),
    summary: "looks again after a day and a week",
    again: true,
  });
  setCurrentDetails(describe(plan, `${state}, receipt ${receipt}`));
  return { state, receipt, recipients, held, plan };
}

const NOTHING: ErasurePlan = { identifiers: 0, people: 0, relations: [], errors: [], unscanned: [] };

function describe({ relations, people }: ErasurePlan, state: string): string {
  const rows = relations.map(({ relation, action, rows: count }) => `| ${relation} | ${action} | ${count} |`);
  return [`${state}: ${people} people`, "", "| relation | action | rows |", "|---|---|---|", ...rows].join("\n");
}
