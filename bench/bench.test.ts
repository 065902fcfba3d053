import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { temporaryHome } from "../test/home.ts";

const run = promisify(execFile);

/** Milliseconds: servers of its own are started, and other tests have half of the machine. */
const PATIENCE = 400_000;

interface Results {
  rows: { name: string; missing: string | null; figures: { seconds: number[]; reference: { seconds: number[] } }[] }[];
}

// The rows themselves refuse a run that did not land or build what it had to.
const ROWS = process.env["MIETTE_TEST_LONG"] ? [] : ["load-csv", "collector"];

test(
  "the bench measures rows beside their references, and says which it can't measure yet",
  { timeout: PATIENCE },
  async () => {
    const folder = await temporaryHome();
    const json = join(folder, "results.json");
    const profiles = join(folder, "profiles");
    const args = [...ROWS, "--rows", "2000", "--runs", "1", "--json", json, "--profile", profiles, "--folder", folder];
    const { stdout } = await run(process.execPath, ["--import", "tsx", "bench/index.ts", ...args], {
      cwd: PACKAGE_DIRECTORY,
    });
    const { rows } = JSON.parse(await readFile(json, "utf8")) as Results;
    const measured = rows.filter(({ missing }) => missing === null);
    expect(measured.map(({ name }) => name)).toEqual(expect.arrayContaining(["load-csv"]));
    for (const { figures } of measured) {
      expect(figures.length).toBeGreaterThan(0);
      for (const { seconds } of figures) expect(seconds.every((value) => value > 0)).toBe(true);
    }
    for (const { name, missing } of rows)
      if (missing !== null) expect(stdout).toContain(`${name}: not measured, ${missing}`);
    expect(await readFile(join(profiles, "load-csv-2000-1.txt"), "utf8")).toMatch(/prepare|land/i);
  },
);
