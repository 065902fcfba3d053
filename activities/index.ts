import { Context } from "@temporalio/activity";
import type { Alert } from "../domain/alerts.ts";
import type {
  AcceptedField,
  AcceptFieldInput,
  BuildInput,
  BuildReport,
  BuildStep,
  ModelReport,
  ReprocessReport,
  StreamReport,
  SyncSourceInput,
  SyncUnit,
  SyncUnitInput,
} from "../domain/runs.ts";
import { awaitWorkflow } from "./await-workflow.ts";
import { challengeActivities } from "./challenges.ts";
import { controllerActivities } from "./controller.ts";
import type { Dependencies, SharedDependencies } from "./dependencies.ts";
import { destinationActivities } from "./destinations.ts";
import { erasureActivities } from "./erasure.ts";
import { identityActivities } from "./identity.ts";
import { keyActivities } from "./keys.ts";
import { planSync } from "./plan-sync.ts";
import { requestActivities } from "./requests.ts";
import { retentionActivities } from "./retention.ts";
import { acceptField, reprocessStream } from "./reprocess.ts";
import { finishShares, syncUnit } from "./sync.ts";
import * as build from "./build.ts";
import * as health from "./health.ts";
import type { Delivery } from "../warehouse/alerts.ts";

/** All side effects of the workflows, by name. */
export function createActivities({ pools, ...shared }: SharedDependencies) {
  const loader: Dependencies = { ...shared, pool: pools.loader };
  const publisher: Dependencies = { ...shared, pool: pools.publisher };
  const privacy: Dependencies = { ...shared, pool: pools.privacy };
  return {
    listSources: async (): Promise<string[]> => (await shared.loadProject()).sources.map(({ name }) => name),
    planSync: (input: SyncSourceInput): Promise<SyncUnit[]> => planSync(loader, input),
    syncUnit: (input: SyncUnitInput): Promise<StreamReport[]> => syncUnit(loader, pools.privacy, input),
    finishShares: (input: SyncUnitInput & { errorCode: string | null }): Promise<StreamReport[]> =>
      finishShares(loader, pools.privacy, input),
    planBuild: async (input: BuildInput): Promise<{ buildId: string | null; steps: BuildStep[] }> => {
      // Patterns are compared with what only the vault has, and who publishes can't open it.
      await build.blockIdentifiers(loader);
      await build.limitUse(privacy);
      return await build.planBuild(publisher, input);
    },
    computeModels: (input: { buildId: string; step: string }): Promise<ModelReport[]> =>
      build.computeModels(publisher, input),
    publishBuild: (input: { buildId: string }): Promise<BuildReport> =>
      build.publishBuild(publisher, pools.privacy, input),
    checkHealth: (): Promise<Delivery[]> => health.checkHealth(publisher),
    lookAtClock: (input: { requestId: string; at: string }): Promise<{ next: string | null; deliveries: Delivery[] }> =>
      health.lookAtClock(publisher, input),
    raiseAlert: (input: Alert): Promise<void> => health.raiseAlert(publisher, input),
    deliver: (input: Delivery): Promise<void> => health.deliver(publisher, input),
    awaitWorkflow: (input: { workflowId: string }): Promise<unknown> =>
      awaitWorkflow(Context.current().client, input.workflowId),
    acceptField: (input: AcceptFieldInput): Promise<AcceptedField> => acceptField(loader, input),
    reprocessStream: (input: { source: string; stream: string; actor: string }): Promise<ReprocessReport> =>
      reprocessStream(loader, input),
    ...keyActivities(privacy),
    ...identityActivities(loader, publisher),
    ...erasureActivities(privacy),
    ...destinationActivities({ ...shared, pool: pools.activator }, privacy),
    ...challengeActivities(privacy),
    ...controllerActivities(privacy),
    ...requestActivities(privacy),
    ...retentionActivities(privacy),
  };
}

export type Activities = ReturnType<typeof createActivities>;
