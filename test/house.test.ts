import { readdir, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { join, relative, sep } from "node:path";
import { bundleWorkflowCode } from "@temporalio/worker";
import { beforeAll, describe, expect, it } from "vitest";
import { brokenRules, type Import, readModule } from "./import-rules.ts";

const ROOT = join(import.meta.dirname, "..");

interface SourceFile {
  path: string;
  text: string;
  imports: Import[];
  readsEnvironment: boolean;
}

let files: SourceFile[];
beforeAll(async () => {
  const paths = await listSources(ROOT);
  files = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(ROOT, path), "utf8");
      return { path, text, ...readModule(text) };
    }),
  );
});

/** Tests, and what only they use, may import what they like. */
const isTest = (path: string) =>
  /^(test\/|vitest\.config)|\.test\.ts$|(^|\/)(test-[\w-]+|(?:[\w-]+-)?fixture)\.ts$/.test(path);

/** Reads what every process hands on to the programs that it starts; no setting of ours. */
const HANDS_ON = "stack/environment.ts";

describe("the house", () => {
  it("keeps its import rules: who may import whom", () => {
    expect(files.length).toBeGreaterThan(30);
    expect(
      files.filter(({ path }) => !isTest(path)).flatMap(({ path, imports }) => brokenRules(path, imports)),
    ).toEqual([]);
  });

  it("imports nothing by worker.ts, not even in tests", () => {
    const importers = files.filter(({ imports }) =>
      imports.some(({ specifier }) => /(^|\/)worker\.ts$/.test(specifier)),
    );
    expect(importers.map(({ path }) => path)).toEqual([]);
  });

  it("reads the environment in config.ts alone", () => {
    const readers = files.filter(({ path, readsEnvironment }) => readsEnvironment && !isTest(path));
    expect(readers.map(({ path }) => path)).toEqual(["config.ts", HANDS_ON]);
  });

  it("leaves no test that hides the others", () => {
    const only = /\b(?:it|test|describe)(?:\.\w+)*\.only\b/;
    expect(files.filter(({ path, text }) => isTest(path) && only.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it("has every test by which docs/attacks.md says that an attack fails", async () => {
    const page = await readFile(join(ROOT, "docs/attacks.md"), "utf8");
    const named = [...page.matchAll(/`([\w/.-]+\.test\.ts)`(?:: ([^;|.\n]+))?/g)];
    expect(named.length).toBeGreaterThan(50);
    const missing = named.filter(([, path, name = ""]) => {
      const text = files.find((each) => each.path === path)?.text;
      return !text || !['"', "`"].some((quote) => name === "" || text.includes(`${quote}${name.trim()}`));
    });
    expect(missing.map(([all]) => all)).toEqual([]);
  });

  it("bundles its workflows without a Node built-in", async () => {
    const workflowsPath = join(ROOT, "workflows", "index.ts");
    const messages: string[] = [];
    const log = (message: string) => void messages.push(message);
    const quiet = { log, trace: log, debug: log, info: log, warn: log, error: log };
    // The bundler itself refuses most built-ins; this also sees those that it lets pass, such as assert.
    const { code } = await bundleWorkflowCode({ workflowsPath, logger: quiet });
    const required = [
      ...code.matchAll(/\brequire\("(?:node:)?([\w/]+)"\)|\/\*! external "?(?:node:)?([\w/]+)"? \*\//g),
    ];
    const names = required.map(([, first, second]) => first ?? second ?? "");
    expect(names.filter((name) => builtinModules.includes(name))).toEqual([]);
  });
});

describe("the import rules", () => {
  const broken = (path: string, source: string) => brokenRules(path, readModule(source).imports).length;

  it.each([
    ["domain/a.ts", 'import { readFile } from "node:fs";'],
    ["domain/a.ts", 'import { x } from "../privacy/tokens.ts";'],
    ["connectors/csv/source.ts", 'import pg from "pg";'],
    ["connectors/csv/source.ts", 'export * from "../../warehouse/database.ts";'],
    ["connectors/csv/source.ts", 'const { x } = await import("../../warehouse/database.ts");'],
    ["connectors/csv/source.ts", 'type X = import("../../warehouse/database.ts").X;'],
    ["workflows/a.ts", 'import { createActivities } from "../activities/index.ts";'],
    ["workflows/a.ts", 'import { type A, createActivities } from "../activities/index.ts";'],
    ["workflows/a.ts", 'import "node:fs";'],
    ["workflows/a.ts", 'import { x } from "@temporalio/client";'],
    ["cli/a.ts", 'import { x } from "../privacy/normalise.ts";'],
    ["cli/a.ts", 'import { x } from "../connectors/csv/source.ts";'],
    ["stack/a.ts", 'import x = require("../warehouse/database.ts");'],
    ["stack/a.ts", 'const x = require("../warehouse/database.ts");'],
    ["demo/a.ts", 'import "../worker.ts";'],
    ["demo/a.ts", "await import(name);"],
    ["activities/a.ts", 'import knex from "knex";'],
    ["unheard/a.ts", ""],
  ])("refuse in %s: %s", (path, source) => {
    expect(broken(path, source)).toBe(1);
  });

  it.each([
    ["domain/a.ts", 'import { x } from "./b.ts";'],
    ["connectors/postgres/source.ts", 'import pg from "pg";'],
    ["connectors/csv/source.ts", 'import type { ClientBase } from "pg"; import { x } from "../../domain/streams.ts";'],
    ["workflows/a.ts", 'import type { A } from "../activities/index.ts"; import { x } from "@temporalio/workflow";'],
    ["workflows/a.ts", 'import { type A } from "../activities/index.ts";'],
    ["cli/a.ts", 'import { x } from "../privacy/tokens.ts"; import type { S } from "../connectors/connector.ts";'],
    ["worker.ts", 'import { x } from "./activities/index.ts"; import { W } from "@temporalio/worker";'],
    ["warehouse/a.ts", 'import knex from "knex"; // import "../worker.ts"'],
  ])("allow in %s: %s", (path, source) => {
    expect(broken(path, source)).toBe(0);
  });

  it.each(["process.env.HOME", 'process["env"]', "const { HOME } = process.env", 'import { env } from "node:process"'])(
    "see that %s reads the environment",
    (source) => {
      expect(readModule(source).readsEnvironment).toBe(true);
      expect(readModule(`// ${source}\nconst text = 'process.env';`).readsEnvironment).toBe(false);
    },
  );
});

async function listSources(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true });
  const hidden = (name: string) => name.startsWith(".") || name === "node_modules";
  const found: string[] = [];
  for (const entry of entries.filter(({ name }) => !hidden(name))) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) found.push(...(await listSources(path)));
    else if (/\.[cm]?ts$/.test(entry.name)) found.push(relative(ROOT, path).split(sep).join("/"));
  }
  return found;
}
