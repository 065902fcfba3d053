import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadProject } from "../config.ts";
import { destinationSpecs, sourceSpecs } from "../connectors/index.ts";
import { UserErrors } from "../domain/errors.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-destinations-"));
  await writeFile(
    join(root, "people.yaml"),
    "type: object\nproperties:\n  id: { type: integer }\n  email: { type: string, personal: email, identifier: email }\n",
  );
});
afterAll(() => rm(root, { recursive: true }));

const SECRET = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;

async function mistakes(destinations: string, env: Record<string, string> = {}): Promise<string[]> {
  const head = `name: shop
currency: EUR
time_zone: UTC
sources:
  shop: { connector: csv, config: { path: people.csv }, streams: { people: { schema: people.yaml } } }
`;
  await writeFile(join(root, "miette.yaml"), `${head}destinations:\n${destinations}\n`);
  const error: unknown = await loadProject(root, { connectorSpecs: sourceSpecs, destinationSpecs, env }).then(
    () => null,
    (cause: unknown) => cause,
  );
  if (error === null) return [];
  if (!(error instanceof UserErrors)) throw error;
  return error.errors.map(({ message }) =>
    message.replaceAll(`${root}/`, "").replace(/^miette\.yaml:\d+ destinations\./, ""),
  );
}

test.each([
  ["crm: { connector: webhook }", 'crm.config: the key "url" is missing'],
  ["crm: { connector: web }", 'crm.connector: there is no connector "web"'],
  ["crm: { config: { url: https://crm.test } }", 'crm: the key "connector" is missing'],
  [
    `crm: { connector: webhook, config: { url: "http://crm.test", secret: "${SECRET}" } }`,
    "crm.config.url: the value must be an https URL",
  ],
  [
    'crm: { connector: webhook, config: { url: "https://crm.test", secret: hunter2 } }',
    "crm.config.secret: the value must be whsec_",
  ],
  [
    `crm: { connector: webhook, config: { url: "https://crm.test", secret: "${SECRET.slice(0, -1)}" } }`,
    "crm.config.secret: the value must be whsec_",
  ],
  [
    `crm: { connector: webhook, config: { url: "https://crm.test", secret: "${SECRET}", timeout_seconds: 90 } }`,
    "crm.config.timeout_seconds: ",
  ],
  [
    'crm: { connector: webhook, config: { url: "https://crm.test", secret: "${ABSENT}" } }',
    "crm.config.secret: the environment variable ABSENT is not set",
  ],
  [
    "crm: { connector: csv, config: { directory: out, delimiter: x } }",
    'crm.config.delimiter: unknown key "delimiter"',
  ],
  [
    "crm: { connector: csv, config: { directory: out }, fields: { mail: e-mail } }",
    'crm.fields.mail: "e-mail" is no kind of identifier',
  ],
  ["crm: { connector: csv, config: { directory: out }, fields: { id: email } }", 'crm.fields.id: "id" must be a word'],
  [
    "crm: { connector: csv, config: { directory: out }, counts_as: [selling] }",
    'crm.counts_as[0]: "selling" is not allowed',
  ],
  ["crm: { connector: manual }", 'crm.config: the key "instructions" is missing'],
  ["CRM!: { connector: csv, config: { directory: out } }", 'CRM!: "CRM!" must be'],
])("%s is told in one sentence, with its place and mend", async (block, beginning) => {
  const told = await mistakes(`  ${block}`);
  expect(told.length, told.join("\n")).toBeGreaterThan(0);
  const found = told.filter((sentence) => sentence.startsWith(beginning));
  expect(found, told.join("\n")).toHaveLength(1);
  expect(told.join()).not.toMatch(/hunter2|whsec_B/);
});

test("what is right is not told", async () => {
  const block = `  crm: { connector: webhook, config: { url: "\${URL}", secret: "\${KEY}" }, fields: { mail: email }, counts_as: [sale] }
  files: { connector: csv, config: { directory: out } }
  paper: { connector: manual, config: { instructions: "Legal writes." } }`;
  expect(await mistakes(block, { URL: "https://crm.test/in", KEY: SECRET })).toEqual([]);
});
