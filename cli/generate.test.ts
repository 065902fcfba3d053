import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { beforeAll, expect, test } from "vitest";
import { UserError } from "../domain/errors.ts";
import { temporaryHome } from "../test/home.ts";
import { openPipeline } from "../test/pipeline.ts";
import { registerGenerate } from "./generate.ts";
import { generateIncrement, generateProject } from "./generate/generation.ts";

const SIZES = { events: 600, orders: 60, customers: 40 };

let generate: (...args: string[]) => Promise<unknown>;
beforeAll(() => {
  generate = async (...args) => {
    const program = new Command().exitOverride().option("--json");
    registerGenerate(program);
    const log = console.log;
    console.log = () => undefined;
    try {
      await program.parseAsync(["--json", "generate", ...args], { from: "user" });
    } finally {
      console.log = log;
    }
  };
});

/** A hash of each file of a folder, by path. */
async function hashes(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = paths.toSorted().map(async (path) => {
    const hash = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    return [path.slice(directory.length), hash] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

test("the same seed gives the same bytes, another seed others", async () => {
  const folders = [await temporaryHome(), await temporaryHome(), await temporaryHome()] as const;
  for (const [index, seed] of [7, 7, 8].entries()) {
    await generateProject(folders[index]!, { seed, format: "jsonl", sizes: SIZES });
    await generateIncrement(folders[index]!, { changed: 0.1, added: 0.05 });
  }
  const [first, second, other] = await Promise.all(folders.map(hashes));
  expect(second).toEqual(first);
  expect(Object.keys(first!)).toContain("/data/events/0002.jsonl");
  expect(other!["/data/events/0001.jsonl"]).not.toBe(first!["/data/events/0001.jsonl"]);
});

test("events have nine fields, a JSON object among them, and about 316 bytes a row", async () => {
  const directory = await temporaryHome();
  await generateProject(directory, { seed: 1, format: "csv", sizes: { events: 2_000, orders: 10, customers: 1_000 } });
  const text = await readFile(join(directory, "data/events/0001.csv"), "utf8");
  const [header, ...lines] = text.trimEnd().split("\n");
  expect(header!.split(",")).toHaveLength(9);
  expect(lines).toHaveLength(2_000);
  expect(text.length / lines.length).toBeGreaterThan(300);
  expect(text.length / lines.length).toBeLessThan(330);
  const ids = new Set(lines.map((line) => line.slice(0, 36)));
  expect(ids.size).toBe(2_000);
});

test("a generated project runs, and its increment after it", { timeout: 400_000 }, async () => {
  const directory = await temporaryHome();
  const written = await generateProject(directory, { seed: 3, format: "csv", sizes: SIZES });
  const pipeline = await openPipeline(directory);
  try {
    const first = await pipeline.run();
    expect(first.failed).toEqual([]);
    const landed = first.syncs.flatMap(({ streams }) => streams);
    expect(landed.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(
      Object.values(written).reduce((sum, count) => sum + count, 0),
    );
    expect(first.build!.checks.filter(({ rows }) => rows > 0)).toEqual([]);

    await generateIncrement(directory, { changed: 0.1, added: 0.05 });
    const second = await pipeline.run();
    const events = second.syncs.flatMap(({ streams }) => streams).find(({ stream }) => stream === "events");
    expect(events).toMatchObject({ updated: 60, inserted: 30, rejected: 0 });
    const { rows } = await pipeline.pool.query(
      `select (select count(*)::integer from mart.fct_events) as events, (select count(*)::integer from mart.fct_orders) as orders,
         (select count(*)::integer from mart.dim_customers where not is_anonymous) as customers`,
    );
    expect(rows).toEqual([{ events: 630, orders: 63, customers: 42 }]);
  } finally {
    await pipeline.close();
  }
});

test("JSON lines land as CSV does", { timeout: 120_000 }, async () => {
  const directory = await temporaryHome();
  const written = await generateProject(directory, { seed: 3, format: "jsonl", sizes: SIZES });
  const pipeline = await openPipeline(directory);
  try {
    const landed: Record<string, number> = {};
    for (const { name } of (await pipeline.project()).sources) {
      for (const { stream, inserted } of (await pipeline.sync({ source: name })).streams) landed[stream] = inserted;
    }
    const { ad_spend: spend, ...others } = written;
    expect(landed).toEqual({ ...others, spend });
  } finally {
    await pipeline.close();
  }
});

test("what is asked for and does not fit the folder is told in one sentence", async () => {
  const directory = await temporaryHome();
  const mistakes: [string[], RegExp][] = [
    [["--changed", "0.1"], /holds no generated data yet/],
    [["--events", "0"], /^--events: must be a whole number/],
    [["--changed", "2"], /^--changed: must be a share from 0 to 1/],
  ];
  for (const [args, sentence] of mistakes) {
    const error: unknown = await generate(directory, ...args).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(sentence);
  }
  await generate(directory, "--events", "10", "--orders", "2", "--customers", "2");
  await expect(generate(directory)).rejects.toThrow(/is no empty folder; add to its data with --changed or --added/);
  await expect(generate(directory, "--added", "0.5", "--events", "5")).rejects.toThrow(/stay those of the first call/);
});
