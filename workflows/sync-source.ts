import { defineSignal, setCurrentDetails, setHandler, workflowInfo } from "@temporalio/workflow";
import { syncWorkflowId } from "../domain/ids.ts";
import type { StreamReport, SyncProgress, SyncReport, SyncSourceInput, SyncUnitInput } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { failureType } from "./failure-type.ts";
import { reportFailure } from "./report-failure.ts";
import { requestBuild } from "./request-build.ts";
import { describeRows, describeRun } from "./search-attributes.ts";
import { SyncTable } from "./sync-table.ts";

const syncProgress = defineSignal<[SyncProgress[]]>("syncProgress");

/** Lands what a source has now: its streams, and the windows or shares of each, in parallel, each resumable by itself. */
export async function syncSource(input: SyncSourceInput): Promise<SyncReport> {
  try {
    return await landSource(input);
  } catch (error) {
    // Whoever syncs by hand sees it.
    if (input.thenBuild || workflowInfo().parent) await reportFailure(syncWorkflowId(input.source), error);
    throw error;
  }
}

async function landSource(input: SyncSourceInput): Promise<SyncReport> {
  describeRun({ kind: "sync", source: input.source });
  const table = new SyncTable(setCurrentDetails);
  setHandler(syncProgress, (parts) => table.advance(parts));

  const units = await planning.planSync(input);
  const kind: SyncUnitInput["kind"] = input.window ? "window" : input.full ? "full" : "incremental";
  const results = await Promise.allSettled(
    units.map(async ({ name, syncId, streams, window, shares }) => {
      const request: SyncUnitInput = { source: input.source, syncId, streams, kind, window };
      const summary = `${input.source}.${name}`;
      table.begin(syncId, streams);
      try {
        const reports =
          shares === 0 ? await workingOn(summary).syncUnit(request) : await syncShares(request, shares, summary);
        table.finish(syncId, reports);
        return reports;
      } catch (error) {
        table.fail(syncId);
        throw error;
      }
    }),
  );
  const reports = byStream(results.flatMap((result) => (result.status === "fulfilled" ? result.value : [])));
  describeRows({
    loaded: reports.reduce((total, { inserted, updated }) => total + inserted + updated, 0),
    rejected: reports.reduce((total, { rejected }) => total + rejected, 0),
  });
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  if (input.thenBuild) await requestBuild();
  return { source: input.source, streams: reports };
}

/** Shares of one stream at the same time; whether they succeed or not, the stream's cursor then stands for what was read. */
async function syncShares(unit: SyncUnitInput, count: number, summary: string): Promise<StreamReport[]> {
  const shares = await Promise.allSettled(
    Array.from({ length: count }, (_, share) =>
      workingOn(`${summary}, share ${share + 1} of ${count}`).syncUnit({ ...unit, share }),
    ),
  );
  const failed = shares.find((share) => share.status === "rejected");
  const errorCode = failed ? failureType(failed.reason) : null;
  const reports = await workingOn(`${summary}, end`).finishShares({ ...unit, errorCode });
  if (failed) throw failed.reason;
  return reports;
}

/** A stream that was read in several windows is reported once. */
function byStream(reports: StreamReport[]): StreamReport[] {
  const sums = new Map<string, StreamReport>();
  for (const report of reports) {
    const sum = sums.get(report.stream);
    if (!sum) {
      sums.set(report.stream, { ...report });
      continue;
    }
    for (const count of ["pages", "rowsRead", "inserted", "updated", "unchanged", "deleted", "rejected"] as const) {
      sum[count] += report[count];
    }
    sum.notice ??= report.notice;
  }
  return [...sums.values()];
}
