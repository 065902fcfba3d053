import { arch, cpus, platform, totalmem } from "node:os";
import { printTable } from "../cli/output.ts";
import { type Figure, median, type Row } from "./row.ts";

/** A row's figures, or why it has none. */
export interface RowResult {
  name: string;
  title: string;
  goals: Row["goals"] | null;
  figures: Figure[];
  /** Why there are no figures; null where there are. */
  missing: string | null;
}

/** What a bench run leaves for machines. Seconds are medians; the runs are in `seconds` of each figure. */
export function asJson(results: readonly RowResult[], settings: { rows: number; runs: number }): object {
  return {
    measured_at: new Date().toISOString(),
    machine: {
      cores: cpus().length,
      cpu: cpus()[0]?.model ?? "unknown",
      memory_bytes: totalmem(),
      platform: `${platform()} ${arch()}`,
      node: process.version,
    },
    settings,
    rows: results.map(({ name, title, goals, figures, missing }) => ({
      name,
      title,
      goals,
      missing,
      figures: figures.map((figure) => ({
        ...figure,
        median_seconds: median(figure.seconds),
        rows_per_second: rate(figure),
        reference_median_seconds: figure.reference && median(figure.reference.seconds),
        share_of_reference: shareOf(figure),
      })),
    })),
  };
}

/** The results as a table on the screen, with what was not measured after it. */
export function printResults(results: readonly RowResult[]): void {
  printTable(
    ["row", "what", "seconds", "rows/s", "reference", "seconds", "reference/ours", "peak MB", "first", "summit"],
    results.flatMap(({ title, goals, figures }) =>
      figures.map((figure, index) => [
        index === 0 ? title : "",
        figure.what,
        round(median(figure.seconds)),
        rate(figure) ?? "",
        figure.reference?.what ?? "",
        figure.reference ? round(median(figure.reference.seconds)) : "",
        shareOf(figure) === null ? "" : shareOf(figure)!.toFixed(2),
        figure.peakMemory === null ? "" : Math.round(figure.peakMemory / 1e6),
        index === 0 ? (goals?.first ?? "") : "",
        index === 0 ? (goals?.summit ?? "") : "",
      ]),
    ),
  );
  for (const { title, figures } of results) {
    for (const { what, note } of figures) if (note !== null) console.log(`${title}, ${what}: ${note}`);
  }
  for (const { name, missing } of results) if (missing !== null) console.log(`${name}: not measured, ${missing}`);
}

function rate({ records, seconds }: Figure): number | null {
  return records === null ? null : Math.round(records / median(seconds));
}

/** How much of the reference's speed ours has: 1 is as fast. */
function shareOf({ reference, seconds }: Figure): number | null {
  return reference === null ? null : median(reference.seconds) / median(seconds);
}

function round(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1);
}
