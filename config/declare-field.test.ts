import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { declareField } from "./declare-field.ts";

let root: string;
let file: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-declare-"));
  file = join(root, "customers.yaml");
});
afterEach(async () => await rm(root, { recursive: true }));

const FIELD = { type: ["string", "null"], personal: "name" };

test("a field is put behind the others, and comments, layout and the file's mode stay", async () => {
  const text = `# who buys
type: object
required: [id] # the key
properties:
  id:    { type: integer }   # aligned
  email:
    type: string # in lines
    personal: email
  # nothing follows

match_keys: { name_birth: [id] }
`;
  await writeFile(file, text, { mode: 0o640 });
  expect(await declareField(file, "nick name", FIELD)).toBe(true);
  expect(await readFile(file, "utf8")).toBe(
    text.replace(
      "    personal: email\n",
      '    personal: email\n  nick name: { type: [string, "null"], personal: name }\n',
    ),
  );
  expect((await stat(file)).mode & 0o777).toBe(0o640);
  expect(await readdir(root)).toEqual(["customers.yaml"]);
  expect(await declareField(file, "nick name", { type: "integer" })).toBe(false);
});

test.each([
  ["in one line", "type: object\nproperties: { id: { type: integer } } # all of them\n"],
  ["without a line's end", "type: object\nproperties:\n  id: { type: integer }"],
  [
    "with a text in lines",
    "type: object\nproperties:\n  id:\n    type: integer\n    description: |\n      one\n\n      two\n",
  ],
  ["as JSON", '{"type": "object", "properties": {"id": {"type": "integer"}}}\n'],
])("fields that are written %s get one more", async (_, text) => {
  await writeFile(file, text);
  for (const name of ["tier", "a: b, {c}", "1", "yes", "🦊", "__proto__x"])
    expect(await declareField(file, name, FIELD)).toBe(true);
  const after = await readFile(file, "utf8");
  const before = parse(text) as { properties: object };
  const added = Object.fromEntries(["tier", "a: b, {c}", "1", "yes", "🦊", "__proto__x"].map((name) => [name, FIELD]));
  expect(parse(after)).toEqual({ ...before, properties: { ...before.properties, ...added } });
  if (text.includes("# all of them")) expect(after).toContain("# all of them");
});
