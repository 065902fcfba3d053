import { Context } from "@temporalio/activity";
import type {
  BuildInput,
  BuildReport,
  BuildStep,
  ModelReport,
  StreamReport,
  SyncSourceInput,
  SyncUnit,
  SyncUnitInput,
} from "../domain/runs.ts";
import type { Dependencies } from "./dependencies.ts";
import { planSync } from "./plan-sync.ts";
import { finishShares, syncUnit } from "./sync.ts";
import * as build from "./build.ts";

const HEARTBEAT_MS = 2_000;

/** All side effects of the workflows, by name. */
export function createActivities(dependencies: Dependencies) {
  /** The server hears every two seconds that the work goes on. */
  async function guarded<T>(work: () => Promise<T>): Promise<T> {
    const context = Context.current();
    const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
    try {
      return await work();
    } finally {
      clearInterval(beat);
    }
  }
  return {
    listSources: (): Promise<string[]> =>
      guarded(async () => (await dependencies.loadProject()).sources.map(({ name }) => name)),
    planSync: (input: SyncSourceInput): Promise<SyncUnit[]> => guarded(() => planSync(dependencies, input)),
    syncUnit: (input: SyncUnitInput): Promise<StreamReport[]> => syncUnit(dependencies, input),
    finishShares: (input: SyncUnitInput & { errorCode: string | null }): Promise<StreamReport[]> =>
      guarded(() => finishShares(dependencies, input)),
    planBuild: (input: BuildInput): Promise<{ buildId: string | null; steps: BuildStep[] }> =>
      guarded(() => build.planBuild(dependencies, input)),
    computeModels: (input: { buildId: string; step: string }): Promise<ModelReport[]> =>
      guarded(() => build.computeModels(dependencies, input)),
    publishBuild: (input: { buildId: string }): Promise<Omit<BuildReport, "models">> =>
      guarded(() => build.publishBuild(dependencies, input)),
    /** Waits for a workflow that somebody else started, and gives its result. */
    awaitWorkflow: (input: { workflowId: string }): Promise<unknown> =>
      guarded(() => Context.current().client.workflow.getHandle(input.workflowId).result()),
  };
}

export type Activities = ReturnType<typeof createActivities>;
