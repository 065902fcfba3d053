import type { Command } from "commander";
import { alertText } from "../domain/alerts.ts";
import { REKEY_WORKFLOW_ID } from "../domain/ids.ts";
import { stackStatus } from "../stack/stack.ts";
import { openAlerts } from "../warehouse/alerts.ts";
import { streamFreshness, type StreamFreshness } from "../warehouse/freshness.ts";
import { findLogLeaks, logWarning } from "../warehouse/log-settings.ts";
import {
  isClosedForRenaming,
  martCounts,
  runningReprocessings,
  streamStatus,
  undeclaredFields,
} from "../warehouse/status.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { isRunning, readAllWaiting, readLastFailure } from "./workflow-state.ts";

const CLOSED = {
  running: "The warehouse is closed: stored tokens are being renamed under a new key; syncs, builds and erasures wait.",
  stopped:
    "The warehouse is closed: miette keys rekey has stopped midway; syncs, builds and erasures wait until it is run again and has ended.",
};

export function registerStatus(program: Command): void {
  program.command("status").action(async (_options: unknown, command: Command) => {
    await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
      const servers = await stackStatus(session.settings.home);
      const fresh = new Map(
        (await streamFreshness(session.pool, session.project.freshness)).map((each) => [
          `${each.source}.${each.stream}`,
          each,
        ]),
      );
      const alerts = await openAlerts(session.pool);
      const landed = new Map((await streamStatus(session.pool)).map((each) => [`${each.source}.${each.stream}`, each]));
      const reasons = new Map<string, string | null>();
      for (const { source, errorCode } of landed.values()) {
        if (errorCode && !reasons.has(source)) reasons.set(source, await readLastFailure(session.client, source));
      }
      const streams = session.project.sources.flatMap(({ name, streams: declared }) =>
        declared.map((stream) => {
          const known = landed.get(`${name}.${stream.name}`);
          return {
            stream: `${name}.${stream.name}`,
            status: known?.status ?? "never synced",
            "last sync": known?.lastSyncAt ?? null,
            freshness: freshnessOf(fresh.get(`${name}.${stream.name}`)),
            read: known?.rowsRead ?? 0,
            landed: (known?.inserted ?? 0) + (known?.updated ?? 0),
            quarantined: known?.rejected ?? 0,
            problem: known?.errorCode ? problemOf(known.errorCode, reasons.get(name)) : (known?.notice ?? null),
          };
        }),
      );
      const waiting = await readAllWaiting(session.client);
      const undeclared = await undeclaredFields(session.pool);
      const mart = await martCounts(session.pool);
      const warning = logWarning(await findLogLeaks(session.pool));
      const rekeying = !(await isClosedForRenaming(session.pool))
        ? null
        : (await isRunning(session.client, REKEY_WORKFLOW_ID))
          ? "running"
          : "stopped";
      const reprocessing = await runningReprocessings(session.pool);
      if (session.json) {
        return console.log(
          JSON.stringify({ servers, streams, rekeying, reprocessing, waiting, alerts, warning, undeclared, mart }),
        );
      }
      if (servers) {
        const running = servers.services.map(
          ({ name, pid, restarts }) => `${name} (pid ${pid}${restarts ? `, restarted ${restarts}×` : ""})`,
        );
        console.log(`Running: ${running.join(", ")}\n`);
      }
      printRows(streams, { json: false, empty: "The project declares no stream." });
      if (rekeying !== null) console.log(`\n${CLOSED[rekeying]}`);
      for (const { workflowId, reason } of waiting) console.log(`\n${workflowId} waits, and tries again: ${reason}`);
      for (const { source, stream, fields, share } of reprocessing) {
        const what = fields.length > 0 ? ` for ${fields.join(", ")}` : "";
        console.log(`\n${source}.${stream} is being reprocessed${what}: ${Math.floor(share * 100)}% of its rows`);
      }
      if (warning !== null) console.log(`\n${warning}`);
      if (alerts.length > 0) {
        console.log("\nWhat needs a person:");
        for (const alert of alerts) console.log(`${alert.state}  ${alertText(alert)} (since ${alert.since})`);
      }
      if (undeclared.length > 0) {
        console.log("\nFields that no schema declares, sealed until one does:");
        printRows(
          undeclared.map(({ source, stream, field, records }) => ({ stream: `${source}.${stream}`, field, records })),
          { json: false, empty: "" },
        );
      }
      console.log("");
      printRows(
        mart.map(({ relation, rows }) => ({ relation, rows })),
        { json: false, empty: "The mart is empty; miette run fills it." },
      );
    });
  });
}

/** The code, and what the source's last failed sync said, which may have been another stream's. */
function problemOf(code: string, reason: string | null | undefined): string {
  return reason ? `${code}: ${reason}` : code;
}

/** `ok`, `warning: nothing new for 7 h`; null where the project sets no limit. */
function freshnessOf(known: StreamFreshness | undefined): string | null {
  if (!known) return null;
  if (known.state === "ok") return "ok";
  const minutes = Math.round(known.age / 60);
  return `${known.state}: nothing new for ${minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`}`;
}
