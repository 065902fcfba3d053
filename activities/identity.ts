import type { IdentityPlan } from "../domain/runs.ts";
import { findBlocked } from "../warehouse/blocked.ts";
import { requestApproval, settlePlan } from "../warehouse/identity/rules.ts";
import type { Dependencies } from "./dependencies.ts";

/** The steps by which changed identity rules come into force. Only the loader can open the values that rules block. */
export function identityActivities(loader: Dependencies, publisher: Dependencies) {
  return {
    requestApproval: async ({ actor }: { actor: string }): Promise<{ planId: string; plan: IdentityPlan }> => {
      const { identity } = await loader.loadProject();
      const blocked = await findBlocked(loader.pool, loader.vault, identity);
      return await requestApproval(publisher.pool, identity, blocked, actor);
    },
    settlePlan: ({
      planId,
      isApproved,
      actor,
    }: {
      planId: string;
      isApproved: boolean;
      actor: string;
    }): Promise<void> => settlePlan(publisher.pool, planId, isApproved, actor),
  };
}
