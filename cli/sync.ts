import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { syncWorkflowId } from "../domain/ids.ts";
import type { SyncReport, SyncSourceInput } from "../domain/runs.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerSync(program: Command): void {
  program
    .command("sync")
    .argument("[source]", "SOURCE or SOURCE.STREAM; without it, all sources")
    .option("--full", "read everything again, from the start")
    .option("--from <time>", "backfill from this ISO 8601 date or time on (by each stream's window field)")
    .option("--to <time>", "backfill up to this date or time, not including it")
    .action(
      async (target: string | undefined, options: { full?: boolean; from?: string; to?: string }, command: Command) => {
        const window = readWindow(options);
        await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
          const [source, stream] = target?.split(".") ?? [];
          const sources = source === undefined ? session.project.sources.map(({ name }) => name) : [source];
          const reports: SyncReport[] = [];
          for (const name of sources) {
            const input: SyncSourceInput = {
              source: name,
              ...(stream ? { streams: [stream] } : {}),
              ...(options.full ? { full: true } : {}),
              ...(window ? { window } : {}),
            };
            reports.push(
              await runWorkflow<SyncReport>(session.client, "syncSource", {
                workflowId: syncWorkflowId(name),
                input,
                summary: name,
                quiet: session.json,
                ended: session.stack.ended,
              }),
            );
          }
          printSyncs(reports, session.json);
        });
      },
    );
}

/** One line per stream, and the notices after them. */
export function printSyncs(reports: SyncReport[], json: boolean): void {
  const rows = reports.flatMap(({ source, streams }) =>
    streams.map(({ stream, rowsRead, inserted, updated, unchanged, deleted, rejected }) => ({
      stream: `${source}.${stream}`,
      read: rowsRead,
      inserted,
      updated,
      unchanged,
      deleted,
      quarantined: rejected,
    })),
  );
  printRows(rows, { json, empty: "No stream was synced." });
  if (json) return;
  for (const { source, streams } of reports) {
    for (const { stream, notice } of streams) if (notice) console.log(`${source}.${stream}: ${notice}`);
  }
}

function readWindow({ from, to }: { from?: string; to?: string }): SyncSourceInput["window"] {
  if (from === undefined && to === undefined) return undefined;
  return {
    ...(from === undefined ? {} : { from: readTime("--from", from) }),
    ...(to === undefined ? {} : { to: readTime("--to", to) }),
  };
}

function readTime(option: string, text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new UserError("is no ISO 8601 date or time, as in 2026-01-31", { key: option });
  return new Date(time).toISOString();
}
