import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadProject } from "../config.ts";
import { sourceSpecs } from "../connectors/index.ts";
import { initProject } from "./init.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-init-"));
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

it("makes a project that loads, in a folder that is not there yet", async () => {
  const directory = join(root, "new", "shop");
  expect(await initProject(directory)).toEqual([
    "data/customers.csv",
    "data/orders.csv",
    "miette.yaml",
    "schemas/shop/customers.yaml",
    "schemas/shop/orders.yaml",
    "sql/models/staging/shop__customers.sql",
    "sql/models/staging/shop__orders.sql",
  ]);
  const project = await loadProject(directory, { connectorSpecs: sourceSpecs, env: {} });
  expect(project.sources[0]?.streams.map((stream) => [stream.name, stream.mode])).toEqual([
    ["customers", "upsert"],
    ["orders", "upsert"],
  ]);
});

it("lets editors find the JSON Schemas from the new files", async () => {
  const directory = join(root, "shop");
  for (const path of (await initProject(directory)).filter((each) => each.endsWith(".yaml"))) {
    const file = join(directory, path);
    const [, schema = ""] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(await readFile(file, "utf8")) ?? [];
    const { $id } = JSON.parse(await readFile(join(dirname(file), schema), "utf8")) as { $id: string };
    expect($id).toBe(path === "miette.yaml" ? "miette.schema.json" : "stream.schema.json");
  }
});

it("refuses a folder that is not empty, and what is no folder, and leaves them as they are", async () => {
  await writeFile(join(root, "notes.txt"), "mine");
  await expect(initProject(root)).rejects.toThrow(
    `${root}: is no empty folder; name one that is empty or not there yet.`,
  );
  await expect(initProject(join(root, "notes.txt"))).rejects.toThrow(/notes\.txt: is no empty folder/);
  expect(await readFile(join(root, "notes.txt"), "utf8")).toBe("mine");
});
