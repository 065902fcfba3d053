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
import type { Dependencies } from "./dependencies.ts";
import { keyActivities } from "./keys.ts";
import { planSync } from "./plan-sync.ts";
import { acceptField, reprocessStream } from "./reprocess.ts";
import { finishShares, syncUnit } from "./sync.ts";
import * as build from "./build.ts";
import * as health from "./health.ts";
import type { Delivery } from "../warehouse/alerts.ts";

/** All side effects of the workflows, by name. */
export function createActivities(dependencies: Dependencies) {
  return {
    listSources: async (): Promise<string[]> => (await dependencies.loadProject()).sources.map(({ name }) => name),
    planSync: (input: SyncSourceInput): Promise<SyncUnit[]> => planSync(dependencies, input),
    syncUnit: (input: SyncUnitInput): Promise<StreamReport[]> => syncUnit(dependencies, input),
    finishShares: (input: SyncUnitInput & { errorCode: string | null }): Promise<StreamReport[]> =>
      finishShares(dependencies, input),
    planBuild: (input: BuildInput): Promise<{ buildId: string | null; steps: BuildStep[] }> =>
      build.planBuild(dependencies, input),
    computeModels: (input: { buildId: string; step: string }): Promise<ModelReport[]> =>
      build.computeModels(dependencies, input),
    publishBuild: (input: { buildId: string }): Promise<BuildReport> => build.publishBuild(dependencies, input),
    checkHealth: (): Promise<Delivery[]> => health.checkHealth(dependencies),
    raiseAlert: (input: Alert): Promise<void> => health.raiseAlert(dependencies, input),
    deliver: (input: Delivery): Promise<void> => health.deliver(dependencies, input),
    /** Waits for a workflow that somebody else started, and gives its result. */
    awaitWorkflow: (input: { workflowId: string }): Promise<unknown> =>
      Context.current().client.workflow.getHandle(input.workflowId).result(),
    acceptField: (input: AcceptFieldInput): Promise<AcceptedField> => acceptField(dependencies, input),
    reprocessStream: (input: { source: string; stream: string; actor: string }): Promise<ReprocessReport> =>
      reprocessStream(dependencies, input),
    ...keyActivities(dependencies),
  };
}

export type Activities = ReturnType<typeof createActivities>;
