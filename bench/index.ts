import { chmod, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { UserError } from "../domain/errors.ts";
import { Bench } from "./bench.ts";
import { asJson, printResults, type RowResult } from "./results.ts";
import type { Row } from "./row.ts";

/** Rows that wait for the part of the product which they measure; a file in `rows/` of the name takes its place. */
const WAITING: Record<string, string> = {
  collector: "there is no collector yet",
  erasure: "there are no requests yet",
  freshness: "there is no collector yet",
};

interface Options {
  rows: number;
  largest?: number;
  runs: number;
  json?: string;
  profile?: string;
  folder?: string;
}

const program = new Command("bench")
  .description("measure the product beside its references, in servers of its own that are removed after")
  .argument("[rows...]", "rows to measure; without any, all")
  .option("--rows <count>", "events of the data set; orders are a tenth, customers a twentieth", count, 1_000_000)
  .option("--largest <count>", "events of the largest data set of the row growth (default: those of --rows)", count)
  .option("--runs <count>", "measured runs, of which the median counts", count, 3)
  .option("--json <file>", "write the results for machines, too")
  .option("--profile <dir>", "keep CPU profiles of the worker and texts that tell where the time went")
  .option("--folder <dir>", "where servers and data are made (default: the system's folder for temporary files)")
  .exitOverride()
  .action(measure);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof UserError) {
    console.error(error.message);
    process.exitCode = 2;
  } else throw error;
}

async function measure(names: string[], options: Options): Promise<void> {
  const rows = await loadRows(names);
  const folder = await mkdtemp(join(resolve(options.folder ?? tmpdir()), "miette-bench-"));
  // As root, Postgres runs as another account, which has to enter it.
  await chmod(folder, 0o755);
  const bench = await Bench.open({
    rows: options.rows,
    largest: options.largest ?? options.rows,
    runs: options.runs,
    profiles: options.profile === undefined ? null : resolve(options.profile),
    folder,
    say: (line) => console.error(line),
  });
  const results: RowResult[] = [];
  try {
    for (const [name, row] of rows) {
      if (typeof row === "string") {
        results.push({ name, title: name, goals: null, figures: [], missing: row });
        continue;
      }
      console.error(`measuring ${row.title}`);
      results.push({ name, title: row.title, goals: row.goals, figures: await row.measure(bench), missing: null });
    }
  } finally {
    await bench.close();
  }
  if (options.json !== undefined) {
    const { rows: size, runs } = options;
    await writeFile(options.json, `${JSON.stringify(asJson(results, { rows: size, runs }), null, 2)}\n`);
  }
  printResults(results);
}

/** The rows by name: each is a file; one that waits for its part of the product is why it waits. */
async function loadRows(names: readonly string[]): Promise<Map<string, Row | string>> {
  const directory = new URL("./rows/", import.meta.url);
  const files = (await readdir(directory)).map((file) => file.replace(/\.ts$/, "")).toSorted();
  const known = [...new Set([...files, ...Object.keys(WAITING)])];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UserError(`there is no row ${unknown}; there are ${known.join(", ")}.`);
  const rows = new Map<string, Row | string>();
  for (const name of names.length ? names : known) {
    const waits = files.includes(name) ? undefined : WAITING[name];
    rows.set(name, waits ?? ((await import(new URL(`${name}.ts`, directory).href)) as { row: Row }).row);
  }
  return rows;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}
