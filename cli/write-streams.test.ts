import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "libpg-query";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { flowYaml, loadProject } from "../config.ts";
import type { DiscoveredStream } from "../connectors/connector.ts";
import { formatProposal, proposeStreams } from "./propose-streams.ts";
import { RESERVED_WORDS } from "./sql-name.ts";
import { writeStreams } from "./write-streams.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-discover-"));
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

const read = async (path: string) => await readFile(join(root, path), "utf8");

const CUSTOMERS: DiscoveredStream = {
  name: "customers",
  key: ["id"],
  cursor: "updated_at",
  schema: {
    type: "object",
    description: "Who buys: people, and firms",
    required: ["id", "updated_at"],
    properties: {
      id: { type: "integer", personal: "account_id", identifier: "customer_id", why: "the key of customers" },
      Email: {
        type: ["string", "null"],
        personal: "email",
        identifier: "email",
        keep: ["domain"],
        why: "98 of 100 values\nare e-mail addresses",
      },
      name: { type: ["string", "null"], personal: "name" },
      user: { type: "string", enum: ["a, b", "yes", ""] },
      sizes: { type: "array", items: { type: "number", decimal: [4, 1] } },
      updated_at: { type: "string", format: "date-time" },
    },
  },
};
const ORDERS: DiscoveredStream = {
  name: "order_details",
  key: null,
  cursor: null,
  config: { table: "Order Details" },
  schema: {
    type: "object",
    properties: {
      "Order ID": { type: "integer" },
      customer: { type: "integer", personal: "account_id", identifier: "customer_id" },
    },
    references: [{ field: "customer", stream: "customers" }],
  },
};

const PROJECT = `# the shop
name: shop
currency: EUR
time_zone:   UTC   # aligned by hand

sources:
  shop:
    connector: postgres   # version 14
    config: { url: "postgres://localhost/shop" }
    # streams come here

  other: {connector: postgres, config: {url: x}}
`;

const load = async () => await loadProject(root, { connectorSpecs: { postgres: { type: "object" } }, env: {} });

describe("discovered streams", () => {
  it("become schemas, staging models and streams of a project that loads", async () => {
    await writeFile(join(root, "miette.yaml"), PROJECT);
    expect(await writeStreams(root, proposeStreams("shop", [CUSTOMERS, ORDERS]))).toEqual({
      written: [
        "miette.yaml sources.shop.streams.customers",
        "miette.yaml sources.shop.streams.order_details",
        "schemas/shop/customers.yaml",
        "sql/models/staging/shop__customers.sql",
        "schemas/shop/order_details.yaml",
        "sql/models/staging/shop__order_details.sql",
      ],
      kept: [],
    });
    expect(await read("miette.yaml")).toBe(
      PROJECT.replace(
        "    # streams come here\n",
        `    streams:
      customers: { mode: upsert, key: [id], cursor: updated_at, version: updated_at, schema: schemas/shop/customers.yaml }
      order_details: { mode: append, schema: schemas/shop/order_details.yaml, config: { table: Order Details } }
    # streams come here
`,
      ),
    );
    const schema = await read("schemas/shop/customers.yaml");
    expect(schema).toMatch(/^# yaml-language-server: \$schema=.*\/schema\/stream\.schema\.json\n/);
    expect(schema.slice(schema.indexOf("\n") + 1)).toBe(`description: "Who buys: people, and firms"
type: object
required: [id, updated_at]
properties:
  id:         { type: integer, personal: account_id, identifier: shop_customer_id } # the key of customers
  Email:      { type: [string, "null"], personal: email, identifier: email, keep: [domain] } # 98 of 100 values are e-mail addresses
  name:       { type: [string, "null"], personal: name }
  user:       { type: string, enum: ["a, b", yes, ""] }
  sizes:      { type: array, items: { type: number } }
  updated_at: { type: string, format: date-time }
`);
    expect(await read("sql/models/staging/shop__customers.sql"))
      .toBe(`-- One row per record of customers, as shop has it.
select
    record_key,
    deleted_at,
    id as shop_customer_id_token,
    email as email_token,
    email_domain,
    "user",
    sizes,
    updated_at
from raw.shop__customers
`);
    const { sources } = await load();
    expect(
      sources[0]?.streams.map(({ name, mode, key, version, config }) => [name, mode, key, version, config]),
    ).toEqual([
      ["customers", "upsert", ["id"], "updated_at", { url: "postgres://localhost/shop" }],
      ["order_details", "append", null, null, { url: "postgres://localhost/shop", table: "Order Details" }],
    ]);
  });

  it("are added beside what is there, which is never overwritten", async () => {
    const project = `${PROJECT.replace("    # streams come here\n", "    streams:\n      customers:\n        schema: mine.yaml # by hand\n")}`;
    await writeFile(join(root, "miette.yaml"), project);
    await mkdir(join(root, "sql/models/staging"), { recursive: true });
    await writeFile(join(root, "sql/models/staging/shop__customers.sql"), "select 1");
    const { kept } = await writeStreams(root, proposeStreams("shop", [CUSTOMERS, ORDERS]));
    expect(kept).toEqual(["miette.yaml sources.shop.streams.customers", "sql/models/staging/shop__customers.sql"]);
    expect(await read("sql/models/staging/shop__customers.sql")).toBe("select 1");
    const line =
      "      order_details: { mode: append, schema: schemas/shop/order_details.yaml, config: { table: Order Details } }\n";
    expect(await read("miette.yaml")).toBe(project.replace("# by hand\n", `# by hand\n${line}`));

    const again = await writeStreams(root, proposeStreams("shop", [CUSTOMERS, ORDERS]));
    expect(again.written).toEqual([]);
    expect(again.kept).toHaveLength(6);
    expect(await read("miette.yaml")).toBe(project.replace("# by hand\n", `# by hand\n${line}`));
  });

  it.each([
    ["in one line", "sources: { shop: { connector: postgres } } # one\n"],
    ["with empty streams", "sources:\n  shop:\n    connector: postgres\n    streams: {} # one\n"],
    ["with streams that are null", "sources:\n  shop: # one\n    streams:\n    connector: postgres\n"],
    ["at the end without a line break", "# one\nsources:\n  shop:\n    connector: postgres"],
    [
      "behind a block of text",
      "# one\nsources:\n  shop:\n    connector: postgres\n    config:\n      url: |\n        a\n        b\n",
    ],
    [
      "behind a list",
      "# one\nsources:\n  shop:\n    connector: postgres\n    config:\n      urls:\n        - a\n        - b\n    # end\n  x:\n    connector: postgres\n",
    ],
  ])("are added to a source that is written %s, whose comments stay", async (_, text) => {
    const head = "name: shop\ncurrency: EUR\ntime_zone: UTC\n";
    await writeFile(join(root, "miette.yaml"), head + text);
    await writeStreams(root, proposeStreams("shop", [CUSTOMERS]));
    const before = parseYaml(head + text) as { sources: { shop: object } };
    const after = await read("miette.yaml");
    expect(after).toContain("# one");
    const { streams, ...rest } = (parseYaml(after) as { sources: { shop: { streams: object } } }).sources.shop;
    expect(Object.keys(streams)).toEqual(["customers"]);
    expect({ streams: null, ...rest }).toEqual({
      streams: null,
      ...before.sources.shop,
      ...("streams" in before.sources.shop ? { streams: null } : {}),
    });
    expect((await load()).sources[0]?.streams).toHaveLength(1);
  });

  it("are refused where the project has no such source", async () => {
    await writeFile(join(root, "miette.yaml"), PROJECT);
    await expect(writeStreams(root, proposeStreams("shp", [CUSTOMERS]))).rejects.toThrow(
      `${join(root, "miette.yaml")} sources: there is no source "shp"; declare it first.`,
    );
    expect(await read("miette.yaml")).toBe(PROJECT);
  });

  it("can be looked at before they are written", () => {
    const text = formatProposal(proposeStreams("shop", [ORDERS]));
    expect(text).toContain("# miette.yaml, sources.shop\nstreams:\n  order_details: { mode: append, schema:");
    expect(text).toContain("# schemas/shop/order_details.yaml\ntype: object\n");
    expect(text).toContain("# sql/models/staging/shop__order_details.sql\n-- One row per");
  });

  it("with any fields give models that are SQL and schemas that read back", async () => {
    const field = fc.record({
      type: fc.constantFrom("string", "integer"),
      description: fc.string({ unit: "grapheme" }),
    });
    const fields = fc.dictionary(fc.string({ minLength: 1, unit: "grapheme" }), field, {
      minKeys: 1,
      maxKeys: 5,
      noNullPrototype: true,
    });
    await fc.assert(
      fc.asyncProperty(fields, async (properties) => {
        const schema = { type: "object", properties } as DiscoveredStream["schema"];
        const { files } = proposeStreams("s", [{ name: "t", key: null, cursor: null, schema }]);
        expect(parseYaml(files[0]?.text ?? "")).toEqual(schema);
        const { stmts } = (await parse(files[1]?.text ?? "")) as { stmts: unknown[] };
        expect(stmts).toHaveLength(1);
      }),
      { numRuns: 300 },
    );
  });
});

describe("names", () => {
  it("that Postgres wants quoted are known", async () => {
    const client = new pg.Client({ connectionString: `${inject("postgresUrl")}/postgres` });
    await client.connect();
    const { rows } = await client.query<{ word: string }>(
      "select word from pg_get_keywords() where catcode in ('R', 'T')",
    );
    await client.end();
    expect([...RESERVED_WORDS].sort()).toEqual(rows.map(({ word }) => word).sort());
  });
});

it("flow YAML reads back as what was written", () => {
  const value = fc.jsonValue({ maxDepth: 3 }).filter((json) => !JSON.stringify(json).includes("__proto__"));
  fc.assert(
    fc.property(value, (json) => {
      const text = flowYaml(json);
      expect(text).not.toContain("\n");
      expect(parseYaml(`x: ${text}\n`)).toEqual({ x: json });
    }),
    { numRuns: 500 },
  );
});
