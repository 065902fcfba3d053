import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { UserError } from "../domain/errors.ts";
import type { Format } from "./generate/files.ts";
import { generateIncrement, generateProject, readGeneration, type Written } from "./generate/generation.ts";

const DEFAULTS = { events: 1_000_000, orders: 100_000, customers: 50_000, seed: 1 };

/** Options as commander gives them. */
interface GenerateOptions {
  events?: number;
  orders?: number;
  customers?: number;
  seed?: number;
  format?: Format;
  changed?: number;
  added?: number;
}

export function registerGenerate(program: Command): void {
  program
    .command("generate")
    .argument("<directory>", "a folder that is empty or not there yet; with --changed or --added, one made before")
    .option("--events <count>", `web events (default: ${DEFAULTS.events})`, wholeNumber("--events"))
    .option("--orders <count>", `orders, with their lines (default: ${DEFAULTS.orders})`, wholeNumber("--orders"))
    .option("--customers <count>", `customers (default: ${DEFAULTS.customers})`, wholeNumber("--customers"))
    .option("--seed <number>", `the same seed gives the same bytes (default: ${DEFAULTS.seed})`, wholeNumber("--seed"))
    .addOption(new Option("--format <format>", "format of the files (default: csv)").choices(["csv", "jsonl"]))
    .option(
      "--changed <share>",
      "add a file in which this share of the records has changed, as in 0.01",
      share("--changed"),
    )
    .option("--added <share>", "add a file with this share of new records", share("--added"))
    .action(async (directory: string, options: GenerateOptions, command: Command) => {
      const written = await generate(directory, options);
      if (command.optsWithGlobals<{ json?: boolean }>().json) return console.log(JSON.stringify({ written }));
      for (const [stream, count] of Object.entries(written)) {
        console.log(`wrote ${count.toLocaleString("en-US")} records of ${stream}`);
      }
      console.log(`run it: npx miette run --project ${directory}`);
    });
}

/** @throws UserError where the folder does not fit what is asked for */
async function generate(directory: string, options: GenerateOptions): Promise<Written> {
  const { changed, added, events, orders, customers, seed, format } = options;
  const root = resolve(directory);
  if (changed !== undefined || added !== undefined) {
    if ([events, orders, customers, seed, format].some((option) => option !== undefined)) {
      throw new UserError("sizes, seed and format stay those of the first call; leave them out.", { file: directory });
    }
    if (!(await readGeneration(root))) {
      throw new UserError("holds no generated data yet; call generate without --changed and --added first.", {
        file: directory,
      });
    }
    return await generateIncrement(root, { changed: changed ?? 0, added: added ?? 0 });
  }
  await requireFree(root, directory);
  return await generateProject(root, {
    seed: seed ?? DEFAULTS.seed,
    format: format ?? "csv",
    sizes: {
      events: events ?? DEFAULTS.events,
      orders: orders ?? DEFAULTS.orders,
      customers: customers ?? DEFAULTS.customers,
    },
  });
}

async function requireFree(root: string, directory: string): Promise<void> {
  const entries = await readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") throw new UserError("is no folder; name another.", { file: directory });
    throw error;
  });
  if (entries.length === 0) return;
  const mend = (await readGeneration(root))
    ? "add to its data with --changed or --added, or name an empty folder."
    : "name one that is empty or not there yet.";
  throw new UserError(`is no empty folder; ${mend}`, { file: join(directory) });
}

function wholeNumber(option: string): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d{1,9}$/.test(text) && number > 0) return number;
    throw new UserError("must be a whole number from 1 to 999999999.", { key: option });
  };
}

function share(option: string): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^(0|1|0?\.\d+|1\.0+)$/.test(text) && number <= 1) return number;
    throw new UserError("must be a share from 0 to 1, as in 0.01.", { key: option });
  };
}
