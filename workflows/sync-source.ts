import { defineSignal, setCurrentDetails, setHandler, uuid4 } from "@temporalio/workflow";
import type { StreamReport, SyncProgress, SyncReport, SyncSourceInput, SyncUnitInput } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { requestBuild } from "./request-build.ts";
import { describeRows, describeRun } from "./search-attributes.ts";

const syncProgress = defineSignal<[SyncProgress[]]>("syncProgress");

/** Lands what a source has now: its streams in parallel, each resumable by itself. */
export async function syncSource(input: SyncSourceInput): Promise<SyncReport> {
  describeRun({ kind: "sync", source: input.source });
  const progress = new Map<string, SyncProgress & { state: string }>();
  const show = (streams: SyncProgress[], state: string): void => {
    for (const each of streams) progress.set(each.stream, { ...each, state });
    setCurrentDetails(progressTable([...progress.values()]));
  };
  setHandler(syncProgress, (streams) => show(streams, "landing"));

  const units = await planning.planSync(input);
  const kind: SyncUnitInput["kind"] = input.window ? "window" : input.full ? "full" : "incremental";
  const results = await Promise.allSettled(
    units.map(async (unit) => {
      show(
        unit.streams.map((stream) => ({ stream, page: 0, rows: 0, rejected: 0 })),
        "reading",
      );
      const request = {
        source: input.source,
        syncId: uuid4(),
        streams: unit.streams,
        kind,
        window: input.window ?? null,
      };
      try {
        const reports = await workingOn(`${input.source}.${unit.name}`).syncUnit(request);
        show(reports.map(asProgress), "done");
        return reports;
      } catch (error) {
        const known = unit.streams.map((stream) => progress.get(stream) ?? { stream, page: 0, rows: 0, rejected: 0 });
        show(known, "failed");
        throw error;
      }
    }),
  );
  const reports = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  describeRows({
    loaded: sum(reports, ({ inserted, updated }) => inserted + updated),
    rejected: sum(reports, ({ rejected }) => rejected),
  });
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  if (input.thenBuild) await requestBuild();
  return { source: input.source, streams: reports };
}

function asProgress(report: StreamReport): SyncProgress {
  return { stream: report.stream, page: report.pages, rows: report.rowsRead, rejected: report.rejected };
}

function progressTable(rows: (SyncProgress & { state: string })[]): string {
  const lines = rows.map(
    ({ stream, page, rows: read, rejected, state }) =>
      `| ${stream} | ${page} | ${thousands(read)} | ${rejected} | ${state} |`,
  );
  return ["| stream | page | rows | quarantined | cursor |", "|---|---|---|---|---|", ...lines].join("\n");
}

/** 20112 → 20,112, without Intl, whose locale data is the machine's and not the history's. */
function thousands(value: number): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

function sum(reports: StreamReport[], of: (report: StreamReport) => number): number {
  return reports.reduce((total, report) => total + of(report), 0);
}
