import { chmod, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { UserError } from "../domain/errors.ts";
import { Bench } from "./bench.ts";
import { asJson, printResults, type RowResult } from "./results.ts";
import type { Row } from "./row.ts";
import { rows } from "./rows/index.ts";

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
  const picked = pickRows(names);
  const parent = resolve(options.folder ?? tmpdir());
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, "miette-bench-"));
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
    for (const [name, row] of picked) {
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

/** The rows of these names; without any, all. Throws a UserError for an unknown one. */
function pickRows(names: readonly string[]): [string, Row | string][] {
  const all = Object.entries(rows);
  const unknown = names.find((name) => !Object.hasOwn(rows, name));
  if (unknown !== undefined) {
    throw new UserError(`there is no row ${unknown}; there are ${Object.keys(rows).join(", ")}.`);
  }
  return names.length ? all.filter(([name]) => names.includes(name)) : all;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}
