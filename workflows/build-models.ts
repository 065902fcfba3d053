import { defineSignal, setCurrentDetails, setHandler, workflowInfo } from "@temporalio/workflow";
import type { BuildInput, BuildReport, ModelReport } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { failureType } from "./failure-type.ts";
import { reportFailure } from "./report-failure.ts";
import { describeRun } from "./search-attributes.ts";

const ATTEMPTS = 5;

/** Asks a running build to start over when it has published. */
export const buildAgain = defineSignal("buildAgain");

/** Computes the models that have work, each in an activity of its own, and publishes them in one transaction. */
export async function buildModels(input: BuildInput): Promise<BuildReport> {
  describeRun({ kind: "build" });
  let isAskedAgain = false;
  setHandler(buildAgain, () => {
    isAskedAgain = true;
  });
  let report: BuildReport;
  try {
    do {
      isAskedAgain = false;
      report = await buildUndisturbed(input);
    } while (isAskedAgain);
  } catch (error) {
    // Whoever builds by hand sees it.
    if (workflowInfo().parent) await reportFailure("build", error);
    throw error;
  }
  return report;
}

/** A build that was overtaken (by another, by an erasure, by an edited file) has published nothing: planned anew. */
async function buildUndisturbed(input: BuildInput): Promise<BuildReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await buildOnce(input);
    } catch (error) {
      const code = failureType(error);
      if ((code !== "build_superseded" && code !== "epoch_conflict") || attempt === ATTEMPTS) throw error;
    }
  }
}

async function buildOnce(input: BuildInput): Promise<BuildReport> {
  const { buildId, steps } = await planning.planBuild(input);
  if (buildId === null) {
    setCurrentDetails("nothing has changed since the last build");
    return { models: [], inserted: 0, updated: 0, deleted: 0, checks: [] };
  }
  const computed = new Map<string, ModelReport>();
  const show = (state: string): void => setCurrentDetails(modelTable(steps.length, computed, state));
  show("computing");
  const done = new Map<string, Promise<void>>();
  for (const step of steps) {
    const work = async (): Promise<void> => {
      await Promise.all(step.after.flatMap((name) => done.get(name) ?? []));
      const reports = await workingOn(step.name).computeModels({ buildId, step: step.name });
      for (const report of reports) computed.set(report.relation, report);
      show("computing");
    };
    const promise = work();
    // Awaited below; until then a failure must not count as unhandled.
    promise.catch(() => undefined);
    done.set(step.name, promise);
  }
  await Promise.all(done.values());
  show("publishing");
  const report = await workingOn("publish").publishBuild({ buildId });
  for (const model of report.models) computed.set(model.relation, model);
  show("published");
  return { ...report, models: [...computed.values()] };
}

function modelTable(steps: number, computed: Map<string, ModelReport>, state: string): string {
  const rows = [...computed.values()].map(
    ({ relation, rows: count, milliseconds }) => `| ${relation} | ${count ?? "view"} | ${milliseconds} ms |`,
  );
  return [`${state}: ${steps} steps`, "", "| model | rows | time |", "|---|---|---|", ...rows].join("\n");
}
