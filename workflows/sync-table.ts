import type { StreamReport, SyncProgress } from "../domain/runs.ts";

interface Part extends SyncProgress {
  state: "reading" | "landing" | "done" | "failed";
}

/** What the UI shows of a sync: a line per stream, over all that is read of it at the same time. */
export class SyncTable {
  readonly #show: (details: string) => void;
  readonly #parts = new Map<string, Part>();

  constructor(show: (details: string) => void) {
    this.#show = show;
  }

  begin(syncId: string, streams: string[]): void {
    this.#set(streams.map((stream) => ({ stream, part: syncId, page: 0, rows: 0, rejected: 0, state: "reading" })));
  }

  /** Takes what activities tell of their progress. */
  advance(parts: SyncProgress[]): void {
    this.#set(parts.map((part) => ({ ...part, state: "landing" })));
  }

  finish(syncId: string, reports: StreamReport[]): void {
    for (const [key, { part }] of this.#parts) if (part.startsWith(`${syncId}/`)) this.#parts.delete(key);
    this.#set(
      reports.map(({ stream, pages: page, rowsRead: rows, rejected }) => {
        return { stream, part: syncId, page, rows, rejected, state: "done" };
      }),
    );
  }

  fail(syncId: string): void {
    this.#set([...this.#parts.values()].filter(({ part }) => part === syncId).map((p) => ({ ...p, state: "failed" })));
  }

  #set(parts: Part[]): void {
    for (const part of parts) this.#parts.set(`${part.stream} ${part.part}`, part);
    const streams = new Map<string, Part[]>();
    for (const part of this.#parts.values()) streams.set(part.stream, [...(streams.get(part.stream) ?? []), part]);
    const lines = [...streams].map(([stream, all]) => {
      const sum = (of: "page" | "rows" | "rejected") => all.reduce((total, part) => total + part[of], 0);
      return `| ${stream} | ${sum("page")} | ${thousands(sum("rows"))} | ${sum("rejected")} | ${stateOf(all)} |`;
    });
    this.#show(["| stream | page | rows | quarantined | cursor |", "|---|---|---|---|---|", ...lines].join("\n"));
  }
}

function stateOf(parts: Part[]): Part["state"] {
  const states = new Set(parts.map(({ state }) => state));
  for (const state of ["failed", "landing", "reading"] as const) if (states.has(state)) return state;
  return "done";
}

/** 20112 → 20,112, without Intl, whose locale data is the machine's and not the history's. */
function thousands(value: number): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");
}
