import { Context } from "@temporalio/activity";
import type { Payload } from "@temporalio/common";
import type { ErasurePlan, RequestState, Verification } from "../domain/requests.ts";
import { UserError } from "../domain/errors.ts";
import { subjectReference } from "../warehouse/audit.ts";
import { inTransaction } from "../warehouse/database.ts";
import { destinationsOf } from "../warehouse/activation/erasures.ts";
import { claimBatch, finishBatch, vacuumTouched, type Batch } from "../warehouse/erasure/batch.ts";
import { completeErasure, recordRecheck, type Completion } from "../warehouse/erasure/complete.ts";
import { listReread, type Reread } from "../warehouse/erasure/reread.ts";
import { awaitFence } from "../warehouse/erasure/fence.ts";
import { planErasure } from "../warehouse/erasure/plan.ts";
import { resolveScope, type Scope } from "../warehouse/erasure/scope.ts";
import { openBatch, sweep } from "../warehouse/erasure/sweep.ts";
import { tombstone } from "../warehouse/erasure/tombstone.ts";
import { findingsOf, verifyErased } from "../warehouse/erasure/verify.ts";
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
import { loadFacts } from "./sync.ts";

/** Histories that are read at the most, newest first. */
const MOST_HISTORIES = 5_000;

/** The steps of an erasure, each of which may be interrupted and done again. */
export function erasureActivities(dependencies: Dependencies) {
  const { pool, vault, logFolder } = dependencies;
  const look = (scope: Scope): Promise<Verification> =>
    verifyErased(pool, scope, { logFolder, histories: readHistories() });
  return {
    async planErasure({ requestId, actor }: { requestId: string; actor: string }): Promise<ErasurePlan> {
      const scope = await resolveScope(pool, vault, await openIdentifiers(pool, vault, requestId));
      const plan = await planErasure(pool, await graphOf(dependencies), await loadFacts(dependencies), scope);
      const { destinations } = await dependencies.loadProject();
      for (const name of await destinationsOf(pool, scope.customers)) {
        if (destinations.some((each) => each.name === name)) continue;
        plan.errors.push(
          `the destination ${name} was handed something of this person and stands no longer in miette.yaml; put it back, so that it can be told`,
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
      if (state === "cancelled") await forgetSubject(pool, vault, requestId);
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
      await sweep(pool, vault, batchId, await loadFacts(dependencies), (relation) => specs.has(relation));
    },
    vacuumErasures: ({ batchId }: { batchId: string }): Promise<number> => vacuumTouched(pool, batchId),
    /** @returns in how many places something is left */
    async verifyErasures({ batchId, requests }: { batchId: string; requests: string[] }): Promise<number> {
      const verification = await look(await openBatch(pool, vault, batchId));
      for (const requestId of requests) {
        const findings =
          requests.length === 1
            ? verification.findings
            : await findingsOf(pool, vault, requestId, verification.findings);
        await pool.query("update privacy.requests set outcome = $2 where request_id = $1", [
          requestId,
          JSON.stringify({ ...verification, findings }),
        ]);
      }
      return verification.findings.length;
    },
    finishErasures: ({ batchId }: { batchId: string }): Promise<void> => finishBatch(pool, batchId),
    async completeErasure({ requestId }: { requestId: string }): Promise<Completion> {
      const { outcome } = await readRequest(pool, requestId);
      return await completeErasure(pool, vault, requestId, outcome as Verification);
    },
    /** Looks again; after the last time, what the request was about is forgotten for good. */
    async recheckErasure(input: { requestId: string; occasion: string; isLast: boolean }): Promise<number | null> {
      const { requestId, occasion, isLast } = input;
      const scope = await openSealed<Scope>(pool, vault, requestId, "scope");
      if (scope === null) return null;
      const receipt = await recordRecheck(pool, vault, requestId, occasion, await look(scope));
      if (isLast) await forgetSubject(pool, vault, requestId);
      return receipt;
    },
  };
}

/** gRPC's code for what a server does not know to do. */
const UNIMPLEMENTED = 12;

/** Everything that Temporal keeps of each execution, opened, as text; null where the server can't list them. */
async function* readHistories(): AsyncGenerator<string | null> {
  try {
    yield* readListed();
  } catch (error) {
    if ((error as { cause?: { code?: number } }).cause?.code !== UNIMPLEMENTED) throw error;
    yield null;
  }
}

async function* readListed(): AsyncGenerator<string | null> {
  const { client } = Context.current();
  const codecs = client.options.loadedDataConverter.payloadCodecs;
  let count = 0;
  for await (const execution of client.workflow.list()) {
    if ((count += 1) > MOST_HISTORIES) return yield null;
    const history = await client.workflow
      .getHandle(execution.workflowId, execution.runId)
      .fetchHistory()
      .catch(() => null);
    // It has ended and is gone since it was listed.
    if (history === null) continue;
    const payloads: Payload[] = [];
    const shown = JSON.stringify(
      [execution.workflowId, execution.memo, execution.searchAttributes, history],
      (_, value: unknown) => {
        if (isPayload(value)) {
          payloads.push(value);
          return undefined;
        }
        return value;
      },
    );
    let opened = payloads;
    for (const codec of codecs) opened = await codec.decode(opened).catch(() => opened);
    const texts = opened.map(({ data }) => Buffer.from(data ?? []).toString("utf8"));
    yield [shown, ...texts].join("\n");
  }
}

function isPayload(value: unknown): value is Payload {
  return typeof value === "object" && value !== null && "metadata" in value && "data" in value;
}
