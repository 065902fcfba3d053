import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { UserError } from "../domain/errors.ts";
import type { Project } from "../domain/project.ts";
import type { ConnectorSpecs } from "./connector-config.ts";
import { readProject } from "./project.ts";

const connectorSpecs: ConnectorSpecs = {
  csv: {
    type: "object",
    required: ["path"],
    additionalProperties: false,
    properties: {
      path: { type: "string", description: "Files.", examples: ["data/*.csv"] },
      more: { type: "array", items: { type: "string" } },
      delimiter: { type: "string", maxLength: 1 },
    },
  },
  postgres: {
    type: "object",
    required: ["url"],
    additionalProperties: false,
    properties: { url: { type: "string", pattern: "^postgres", description: "Where the database is." } },
  },
};

/** A project's folder, empty before each test of the file. */
export interface TestProject {
  /** Absolute path of the folder. */
  root(): string;
  put(path: string, content: string | Uint8Array): Promise<void>;
  load(env?: Record<string, string>): Promise<Project>;
  /** The errors of loading, one a line, with paths from the project's folder. */
  errors(env?: Record<string, string>): Promise<string[]>;
}

export function openTestProject(): TestProject {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "miette-config-"));
  });
  afterEach(async () => await rm(root, { recursive: true, force: true }));

  const load = async (env: Record<string, string> = {}) => await readProject(root, env, connectorSpecs);
  return {
    root: () => root,
    async put(path, content) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    },
    load,
    async errors(env) {
      try {
        await load(env);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return error.message.replaceAll(`${root}/`, "").replaceAll(root, ".").split("\n");
      }
      return [];
    },
  };
}

export const HEAD = "name: shop\ncurrency: EUR\ntime_zone: UTC\n";

export const CUSTOMERS = `type: object
required: [id, created_at, updated_at]
properties:
  id:         { type: integer, personal: account_id, identifier: customer_id }
  email:      { type: [string, "null"], personal: email, identifier: email, keep: [domain] }
  full_name:  { type: [string, "null"], personal: name }
  birth_date: { type: [string, "null"], format: date, personal: birth_date, keep: [year] }
  spent:      { type: number, decimal: [12, 2] }
  created_at: { type: string, format: date-time }
  updated_at: { type: string, format: date-time }
match_keys:
  name_birth: [full_name, birth_date]
`;

export const ORDERS = `type: object
properties:
  id: { type: integer }
  customer: { type: integer, personal: account_id, identifier: customer_id }
references: [{ field: customer, stream: customers }]
`;
