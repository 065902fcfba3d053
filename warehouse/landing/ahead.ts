import { setImmediate } from "node:timers/promises";
import type { Vault } from "../vault.ts";
import { landingRow, type LandingRow } from "./landing-row.ts";
import type { PreparedPage, StreamPage } from "./page.ts";
import type { Prepared } from "./record.ts";
import { Tokeniser } from "./seal.ts";
import { admissionOf } from "./suppressions.ts";
import type { Sync } from "./sync.ts";

/** A stream's records of a page, tokenised before it is the page's turn. */
export interface Ahead {
  /** Under which it was decided whom to let in. */
  epoch: string;
  tokeniser: Tokeniser;
  rows: LandingRow[];
}

/**
 * Records that are tokenised at a stretch, half a millisecond: each of a page's fifteen statements waits for one, and with
 * 250 the server stood idle for 40% of a first load.
 */
const STRETCH = 32;

/**
 * Tokenises a page while the server is at the one before, where that will most likely do: of a first load, as long as
 * nobody was erased and no record grows too old. Whoever lands it asks `holdsFor`, and tokenises anew where it does not.
 */
export async function tokeniseAhead(vault: Vault, sync: Sync, page: PreparedPage): Promise<PreparedPage> {
  const admission = admissionOf(vault);
  if (!admission || admission.suppressions !== null || sync.hasRetention) return page;
  for (const stream of page.streams) {
    const { plan, current, superseded } = stream;
    if (current.length === 0 || superseded.length > 0 || !sync.expectsNew.has(plan.stream.name)) continue;
    const tokeniser = new Tokeniser(plan, vault.naming);
    const rows: LandingRow[] = [];
    for (const [index, record] of current.entries()) {
      if (index % STRETCH === STRETCH - 1) await setImmediate();
      rows.push(landingRow(plan, tokeniser.tokenise(record)));
    }
    stream.ahead = { epoch: admission.epoch, tokeniser, rows };
  }
  return page;
}

/** Whether what was tokenised ahead is what these records are under this epoch: a correction makes another record of one. */
export function holdsFor({ ahead }: StreamPage, epoch: string, records: readonly Prepared[]): boolean {
  return (
    ahead?.epoch === epoch &&
    ahead.rows.length === records.length &&
    ahead.rows.every(({ prepared }, index) => prepared === records[index])
  );
}
