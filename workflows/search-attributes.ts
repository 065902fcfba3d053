import { defineSearchAttributeKey } from "@temporalio/common";
import { defineSignal, setCurrentDetails, setHandler, upsertSearchAttributes } from "@temporalio/workflow";
import { WAITING_SIGNAL } from "../domain/ids.ts";

const SOURCE = defineSearchAttributeKey("MietteSource", "KEYWORD");
const KIND = defineSearchAttributeKey("MietteKind", "KEYWORD");
const ROWS_LOADED = defineSearchAttributeKey("MietteRowsLoaded", "INT");
const ROWS_REJECTED = defineSearchAttributeKey("MietteRowsRejected", "INT");

const waiting = defineSignal<[string]>(WAITING_SIGNAL);

/**
 * Makes a run findable in the UI by what it does, and lets its activities show what they wait for. Plain text on the
 * server, so names and counts only.
 */
export function describeRun(run: {
  kind: "sync" | "build" | "run" | "health" | "keys" | "schema" | "identity" | "request" | "delivery" | "retention";
  source?: string;
}): void {
  upsertSearchAttributes([{ key: KIND, value: run.kind }, ...(run.source ? [{ key: SOURCE, value: run.source }] : [])]);
  setHandler(waiting, (reason) => setCurrentDetails(`waiting: ${reason}`));
}

export function describeRows(rows: { loaded: number; rejected: number }): void {
  upsertSearchAttributes([
    { key: ROWS_LOADED, value: rows.loaded },
    { key: ROWS_REJECTED, value: rows.rejected },
  ]);
}
