import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Store } from "./generate.ts";
import { groupBy } from "./group-by.ts";

/** How many events the tag sends twice, as tags do; a key makes one of two. */
const REPEATED_EVENTS = 25;

/** The files of a store by their path in the demo's folder, before compression. */
export function storeFiles(store: Store): Map<string, string> {
  const files = new Map<string, string>();
  const brokenLines = (stream: string) =>
    store.broken.flatMap((broken) => (broken.stream === stream ? [broken.line] : []));

  const months = [...groupBy(store.events, (event) => event.occurred_at.slice(0, 7))];
  months.forEach(([month, events], index) => {
    const lines = events.map((event) => JSON.stringify(event));
    if (index === months.length - 1)
      lines.push(
        ...brokenLines("web.events"),
        ...store.events.slice(0, REPEATED_EVENTS).map((event) => JSON.stringify(event)),
      );
    files.set(`web/events-${month}.jsonl.gz`, lines.map((line) => `${line}\n`).join(""));
  });
  const years = [...groupBy(store.reviews, (review) => review.reviewed_at.slice(0, 4))];
  years.forEach(([year, reviews], index) => {
    files.set(
      `reviews/reviews-${year}.csv.gz`,
      toCsv(reviews, index === years.length - 1 ? brokenLines("reviews.reviews") : []),
    );
  });
  files.set("ads/spend.csv", toCsv(store.adSpend, brokenLines("ads.spend")));
  files.set("newsletter/consents.csv", toCsv(store.consents, brokenLines("newsletter.consents")));
  files.set("truth.json", `${JSON.stringify(store.truth)}\n`);
  return files;
}

/** Writes the files, gzipped where their name says so. */
export async function writeFiles(files: Map<string, string>, directory: string): Promise<void> {
  for (const folder of new Set([...files.keys()].map((path) => join(directory, path, ".."))))
    await mkdir(folder, { recursive: true });
  for (const [path, text] of files)
    await writeFile(join(directory, path), path.endsWith(".gz") ? gzipSync(text) : text);
}

/** RFC 4180 with a header, then lines that are written as they stand. */
function toCsv(rows: readonly object[], brokenLines: readonly string[]): string {
  const field = (value: unknown) =>
    /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const lines = rows.map((row) => Object.values(row).map(field).join(","));
  return [Object.keys(rows[0] ?? {}).join(","), ...lines, ...brokenLines].map((line) => `${line}\n`).join("");
}
