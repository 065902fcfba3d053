import { Context } from "@temporalio/activity";
import type { ErasurePlan, RequestState, Verification } from "../domain/requests.ts";
import { UserError } from "../domain/errors.ts";
import { subjectReference } from "../warehouse/audit.ts";
import { inTransaction } from "../warehouse/database.ts";
import { destinationsOf } from "../warehouse/activation/erasures.ts";
import {
  claimBatch,
  finishBatch,
  listCompanions,
  listUnplanned,
  vacuumTouched,
  type Batch,
} from "../warehouse/erasure/batch.ts";
import { completeErasure, recordRecheck, type Completion } from "../warehouse/erasure/complete.ts";
import { listReread, type Reread } from "../warehouse/erasure/reread.ts";
import { awaitFence } from "../warehouse/erasure/fence.ts";
import { planErasures } from "../warehouse/erasure/plan.ts";
import { resolveScope, withoutOverlap, type Scope } from "../warehouse/erasure/scope.ts";
import { sweep } from "../warehouse/erasure/sweep.ts";
import { tombstone } from "../warehouse/erasure/tombstone.ts";
import { verifyErased } from "../warehouse/erasure/verify.ts";
import { beginIdentityCheck } from "../warehouse/requests/identity.ts";
import { readmit } from "../warehouse/requests/readmit.ts";
import {
  forgetSubject,
  moveRequest,
  openIdentifiers,
  openSealed,
  readRequest,
  sealForRequest,
} from "../warehouse/requests/store.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";
import { readHistories } from "./histories.ts";
import { retentionOf } from "./retention.ts";
import { Together } from "./together.ts";

/** The steps of an erasure, each of which may be interrupted and done again. */
export function erasureActivities(dependencies: Dependencies) {
  const { pool, vault, logFolder } = dependencies;
  const look = async (requestIds: readonly string[]): Promise<Map<string, Verification>> => {
    const scopes = new Map<string, Scope>();
    for (const id of requestIds) {
      const scope = await openSealed<Scope>(pool, vault, id, "scope");
      if (scope !== null) scopes.set(id, scope);
    }
    return await verifyErased(pool, scopes, { logFolder, histories: readHistories() });
  };
  const looks = new Together((requestId) => listCompanions(pool, requestId).then(look));
  const plans = new Together(async (requestId) => {
    const scopes = new Map<string, Scope>();
    for (const id of new Set([requestId, ...(await listUnplanned(pool))])) {
      scopes.set(id, await resolveScope(pool, vault, await openIdentifiers(pool, vault, id)));
    }
    const apart = [...withoutOverlap(scopes)];
    // The name that the audit has for each goes with them: it stands before it is counted, so that a plan that is made
    // again, since its worker died, counts the same.
    await inTransaction(pool, async (client) => {
      for (const [, { customers }] of apart) {
        if (customers[0] !== undefined) await subjectReference(client, { customerId: customers[0] });
      }
    });
    const each = apart.map(([, scope]) => scope);
    const made = await planErasures(pool, await graphOf(dependencies), await retentionOf(dependencies), each);
    return new Map(apart.map(([id, scope], i) => [id, { scope, plan: made[i] as ErasurePlan }]));
  });
  const scheduledAt = (): number => Context.current().info.currentAttemptScheduledTimestampMs;
  return {
    async planErasure({ requestId, actor }: { requestId: string; actor: string }): Promise<ErasurePlan> {
      // A round that had this request in it began after it had come, which is late enough. A round since this was scheduled would
      // be nearly one for each of a thousand, as they are scheduled only when others before them are done: 1 s each.
      const { scope, plan } = await plans.of(requestId, 0);
      const { destinations } = await dependencies.loadProject();
      for (const name of await destinationsOf(pool, scope.customers)) {
        if (destinations.some((each) => each.name === name)) continue;
        plan.errors.push(
          `the destination ${name} was handed something of this person and stands no longer in miette.yaml; put it back, or write connector: manual for it, so that it can be told`,
        );
      }
      const sealed = await sealForRequest(pool, vault, requestId, "scope", scope);
      await inTransaction(pool, async (client) => {
        const [customerId] = scope.customers;
        const subject = customerId === undefined ? null : await subjectReference(client, { customerId });
        await client.query(
          "update privacy.requests set plan = $2, scope = $3, subject = $4, planned_at = now() where request_id = $1",
          [requestId, JSON.stringify(plan), sealed, subject],
        );
        await moveRequest(client, requestId, ["received", "verified"], "planned", actor, {
          relations: plan.relations.length,
          errors: plan.errors.length,
        });
      });
      return plan;
    },
    /** @returns milliseconds until it may be carried out. @throws UserError where it can't be approved any more */
    async approveRequest({ requestId, actor }: { requestId: string; actor: string }): Promise<number> {
      await inTransaction(pool, (client) => moveRequest(client, requestId, ["planned"], "approved", actor));
      const { state, notBefore } = await readRequest(pool, requestId);
      if (state !== "approved" && state !== "running") {
        throw new UserError(`the request is ${state}, so there is nothing to approve`, { key: "request" });
      }
      return notBefore === null ? 0 : Math.max(0, Date.parse(notBefore) - Date.now());
    },
    /** @returns what the request is now: past its grace it can't be cancelled any more */
    async cancelRequest({ requestId, actor }: { requestId: string; actor: string }): Promise<RequestState> {
      await inTransaction(pool, (client) =>
        moveRequest(client, requestId, ["received", "verified", "planned", "approved"], "cancelled", actor),
      );
      const { state } = await readRequest(pool, requestId);
      if (state === "cancelled" || state === "refused") await forgetSubject(pool, vault, requestId);
      return state;
    },
    /** Milliseconds in which who asks has to show who they are; null: they need not. */
    beginIdentityCheck: ({ requestId }: { requestId: string }): Promise<number | null> =>
      beginIdentityCheck(pool, requestId),
    /** Ends the wait for an identity. @returns `verified`, or what the request has ended as: `expired` */
    async endIdentityCheck({ requestId }: { requestId: string }): Promise<RequestState> {
      await inTransaction(pool, (client) => moveRequest(client, requestId, ["received"], "expired", "worker"));
      const { state } = await readRequest(pool, requestId);
      if (state === "expired") await forgetSubject(pool, vault, requestId);
      return state;
    },
    /** The timer decides that the grace is over: another machine's clock may be behind it. */
    async endGrace({ requestId }: { requestId: string }): Promise<void> {
      await pool.query(
        "update privacy.requests set not_before = least(not_before, now()) where request_id = $1 and state = 'approved'",
        [requestId],
      );
    },
    listReread: async ({ requestId }: { requestId: string }): Promise<Reread> =>
      listReread(pool, await dependencies.loadProject(), requestId),
    readmitSubject: ({ requestId, actor }: { requestId: string; actor: string }): Promise<number | null> =>
      readmit(pool, vault, requestId, actor),
    claimErasures: (): Promise<Batch | null> => claimBatch(pool),
    tombstoneErasures: ({ batchId }: { batchId: string }): Promise<number> => tombstone(pool, vault, batchId),
    fenceErasures: ({ batchId }: { batchId: string }): Promise<void> => awaitFence(pool, batchId),
    async sweepErasures({ batchId }: { batchId: string }): Promise<void> {
      const { specs } = await graphOf(dependencies);
      await sweep(pool, vault, batchId, await retentionOf(dependencies), (relation) => specs.has(relation));
    },
    vacuumErasures: ({ batchId }: { batchId: string }): Promise<number> => vacuumTouched(pool, batchId),
    /** @returns in how many places something is left */
    async verifyErasures({ requests }: { batchId: string; requests: string[] }): Promise<number> {
      const verifications = await look(requests);
      const places = new Set<string>();
      for (const [requestId, verification] of verifications) {
        for (const { place } of verification.findings) places.add(place);
        await pool.query("update privacy.requests set outcome = $2 where request_id = $1", [
          requestId,
          JSON.stringify(verification),
        ]);
      }
      return places.size;
    },
    finishErasures: ({ batchId }: { batchId: string }): Promise<void> => finishBatch(pool, batchId),
    async completeErasure({ requestId }: { requestId: string }): Promise<Completion> {
      const { outcome } = await readRequest(pool, requestId);
      return await completeErasure(pool, vault, requestId, outcome as Verification);
    },
    /** Looks again; after the last time, what the request was about is forgotten for good. */
    async recheckErasure(input: { requestId: string; occasion: string; isLast: boolean }): Promise<number | null> {
      const { requestId, occasion, isLast } = input;
      if ((await openSealed<Scope>(pool, vault, requestId, "scope")) === null) return null;
      const verification = await looks.of(requestId, scheduledAt());
      const receipt = await recordRecheck(pool, vault, requestId, occasion, verification);
      if (isLast) await forgetSubject(pool, vault, requestId);
      return receipt;
    },
  };
}
