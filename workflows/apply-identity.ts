import { condition, defineSignal, setCurrentDetails, setHandler } from "@temporalio/workflow";
import { DECIDE_RULES_SIGNAL } from "../domain/ids.ts";
import type { IdentityApplication, RulesDecision } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { requestBuild } from "./request-build.ts";
import { describeRun } from "./search-attributes.ts";

const decide = defineSignal<[RulesDecision]>(DECIDE_RULES_SIGNAL);

/**
 * Brings changed identity rules into force once somebody has approved what they would change. Until then builds keep the
 * rules before, and likewise where they are refused.
 */
export async function applyIdentity(input: { actor: string }): Promise<IdentityApplication> {
  describeRun({ kind: "identity" });
  let decision: RulesDecision | null = null;
  setHandler(decide, (made) => {
    decision ??= made;
  });
  const { planId, plan } = await workingOn("what the rules would change").requestApproval(input);
  setCurrentDetails(
    `waits for approval: ${plan.merges} merges, ${plan.splits} splits, ${plan.ordersMoved} orders of ${plan.revenueMoved} ${plan.currency} moved`,
  );
  await condition(() => decision !== null);
  const { isApproved, actor } = decision as unknown as RulesDecision;
  await planning.settlePlan({ planId, isApproved, actor });
  if (isApproved) await requestBuild();
  setCurrentDetails(isApproved ? "approved: a build applies them" : "refused: the rules before stay in force");
  return { planId, isApproved };
}
