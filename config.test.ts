import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { UserErrors } from "./domain/errors.ts";
import { REMAINS } from "./domain/remains.ts";
import { PERSONAL_KINDS } from "./domain/streams.ts";
import { remainsOf } from "./privacy/remains.ts";
import { HEAD, CUSTOMERS, ORDERS, openTestProject } from "./config/test-project.ts";

const { put, load, root } = openTestProject();

describe("a project file", () => {
  it("becomes a project, with defaults, and the environment filled in", async () => {
    await put("schemas/customers.yaml", CUSTOMERS);
    await put("schemas/orders.yaml", ORDERS);
    await put(
      "miette.yaml",
      `name: electronics-shop
currency: EUR
time_zone: Europe/Paris
default_country: FR
sources:
  shop:
    connector: postgres
    config: { url: "\${SHOP_URL}" }
    schedule: { every: 15m }
    streams:
      customers: { key: [id], cursor: updated_at, version: updated_at, window: created_at, schema: schemas/customers.yaml }
      orders: { mode: snapshot, key: [id], reject_limit: 0.5, schema: schemas/orders.yaml }
  files:
    connector: csv
    config: { path: "data/$\${x}.csv", delimiter: ";" }
    schedule: { cron: "0 2 * * mon-fri" }
    streams:
      visits: { schema: schemas/orders.yaml, config: { path: /srv/visits.csv, more: [a.csv] } }
      customers: { key: [id], schema: schemas/customers.yaml }
identity:
  identifiers:
    - { kind: customer_id, limit: 1 }
    - { kind: email, limit: 5, blocked: ["noreply@*"], shared_above: 4 }
    - { kind: name_birth }
goals:
  - { name: repeat, measure: "select 1", target: 0.35, by: 2027-03-31 }
notify: { webhook: "\${HOOK}" }
`,
    );
    const project = await load({ SHOP_URL: "postgres://u:p${x}@h/shop", HOOK: "https://example.org/hook" });
    const [shop, files] = project.sources;
    expect({ ...project, sources: [] }).toEqual({
      name: "electronics-shop",
      directory: root(),
      destinations: [],
      retention: [],
      holds: [],
      currency: "EUR",
      timeZone: "Europe/Paris",
      defaultCountry: "FR",
      ageOfConsent: 16,
      sources: [],
      identity: {
        identifiers: [
          { kind: "customer_id", limit: 1, blocked: [], sharedAbove: null, window: null },
          { kind: "email", limit: 5, blocked: ["noreply@*"], sharedAbove: 4, window: null },
          { kind: "name_birth", limit: null, blocked: [], sharedAbove: null, window: null },
        ],
      },
      survivorship: [
        { attribute: "country", by: "most_recent", sources: [] },
        { attribute: "birth_year", by: "most_recent", sources: [] },
      ],
      goals: [
        {
          name: "repeat",
          measure: "select 1",
          target: 0.35,
          direction: "at_least",
          by: "2027-03-31",
          start: null,
          place: { file: join(root(), "miette.yaml"), line: 26, key: "goals[0].measure" },
        },
      ],
      freshness: [],
      notify: { webhook: { url: "https://example.org/hook", secret: null }, smtp: null },
    });
    expect(shop?.config).toEqual({ url: "postgres://u:p${x}@h/shop" });
    expect(shop?.schedule).toEqual({ every: "15m" });
    expect(shop?.streams.map(({ schema, ...stream }) => [stream, Object.keys(schema.properties).length])).toEqual([
      [
        {
          source: "shop",
          name: "customers",
          mode: "upsert",
          key: ["id"],
          cursor: "updated_at",
          version: "updated_at",
          window: "created_at",
          schemaFile: join(root(), "schemas/customers.yaml"),
          rejectLimit: 0.01,
          config: shop?.config,
        },
        7,
      ],
      [
        {
          source: "shop",
          name: "orders",
          mode: "snapshot",
          key: ["id"],
          cursor: null,
          version: null,
          window: null,
          schemaFile: join(root(), "schemas/orders.yaml"),
          rejectLimit: 0.5,
          config: shop?.config,
        },
        2,
      ],
    ]);
    expect(files?.schedule).toEqual({ cron: "0 2 * * mon-fri" });
    expect(files?.streams.map(({ mode, config }) => [mode, config])).toEqual([
      ["append", { path: "/srv/visits.csv", delimiter: ";", more: ["a.csv"] }],
      ["upsert", { path: "data/${x}.csv", delimiter: ";" }],
    ]);
  });

  it("may have a source without streams, to discover them", async () => {
    await put("miette.yaml", `${HEAD}sources:\n  shop: { connector: csv, config: { path: a.csv } }\n`);
    expect((await load()).sources[0]?.streams).toEqual([]);
  });

  it("links by every kind of its schemas, in their order, where it has no identity rules", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources: { s: { connector: csv, config: { path: a }, streams: { c: { schema: schemas/c.yaml } } } }\n`,
    );
    const { identity } = await load();
    expect(identity.identifiers.map((rule) => rule.kind)).toEqual(["customer_id", "email", "name_birth"]);
    expect(identity.identifiers[0]).toEqual({
      kind: "customer_id",
      limit: null,
      blocked: [],
      sharedAbove: null,
      window: null,
    });
  });

  it("reads `identifier: true` as the kind of its field, an account id being its source's own", async () => {
    await put(
      "schemas/c.yaml",
      `type: object
properties:
  id: { type: integer, personal: account_id, identifier: true }
  email: { type: string, personal: email, identifier: true }
  note: { type: string, personal: free_text, identifier: false }
`,
    );
    const stream = "{ connector: csv, config: { path: a }, streams: { c: { schema: schemas/c.yaml } } }";
    await put("miette.yaml", `${HEAD}sources: { shop: ${stream}, forum: ${stream} }\n`);
    const { sources, identity } = await load();
    const kinds = sources.map(({ streams: [c] }) => Object.values(c?.schema.properties ?? {}).map((f) => f.identifier));
    expect(kinds).toEqual([
      ["shop_account_id", "email", undefined],
      ["forum_account_id", "email", undefined],
    ]);
    expect(identity.identifiers.map(({ kind }) => kind)).toEqual(["shop_account_id", "email", "forum_account_id"]);
  });
});

describe("the remains of personal data", () => {
  it.each(PERSONAL_KINDS)("that a schema may keep of %s are those that landing knows how to keep", (kind) => {
    expect(REMAINS[kind] ?? []).toEqual(remainsOf(kind));
  });
});

describe("any valid project", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,7}(_[a-z0-9]{1,4})?$/);
  const type = fc.constantFrom("string", "integer", "number", "boolean", "object", "array");
  const field = fc.record(
    {
      type: fc.oneof(
        type,
        type.map((each) => [each, "null"]),
      ),
      description: fc.string(),
      personal: fc.constantFrom(...PERSONAL_KINDS),
    },
    { requiredKeys: ["type"] },
  );
  const schema = fc.dictionary(name, field, { minKeys: 1, maxKeys: 6, noNullPrototype: true }).map((properties) => ({
    type: "object",
    properties,
  }));
  const stream = fc.record({
    schema,
    mode: fc.constantFrom("append", "upsert", "snapshot"),
    reject_limit: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const source = fc.record({
    text: fc.string({ minLength: 1 }),
    streams: fc.dictionary(name, stream, { maxKeys: 3, noNullPrototype: true }),
  });
  const project = fc.record({
    currency: fc.constantFrom(...Intl.supportedValuesOf("currency")),
    timeZone: fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
    sources: fc.dictionary(name, source, { maxKeys: 3, noNullPrototype: true }),
  });

  it("loads back as it was written", async () => {
    await fc.assert(
      fc.asyncProperty(project, async ({ currency, timeZone, sources }) => {
        const blocks: Record<string, unknown> = {};
        for (const [sourceName, { text, streams }] of Object.entries(sources)) {
          const streamBlocks: Record<string, unknown> = {};
          for (const [streamName, { schema, ...rest }] of Object.entries(streams)) {
            const file = `schemas/${sourceName}/${streamName}.yaml`;
            await put(file, stringify(schema));
            streamBlocks[streamName] = { ...rest, key: [Object.keys(schema.properties)[0]], schema: file };
          }
          const path = `/${text.replaceAll("${", () => "$${")}`;
          blocks[sourceName] = {
            connector: "csv",
            config: { path, delimiter: text[0] === "$" ? "," : text[0] },
            streams: streamBlocks,
          };
        }
        await put("miette.yaml", stringify({ name: "p", currency, time_zone: timeZone, sources: blocks }));
        const loaded = await load();
        expect([loaded.currency, loaded.timeZone]).toEqual([currency, timeZone]);
        expect(loaded.sources.map((each) => each.name).sort()).toEqual(Object.keys(sources).sort());
        for (const { name: sourceName, streams } of loaded.sources) {
          const written = sources[sourceName];
          expect(streams.map((each) => each.name).sort()).toEqual(Object.keys(written?.streams ?? {}).sort());
          for (const each of streams) {
            const { schema, mode, reject_limit: rejectLimit } = written?.streams[each.name] ?? {};
            expect({ schema: each.schema, mode: each.mode, rejectLimit: each.rejectLimit }).toEqual({
              schema,
              mode,
              rejectLimit,
            });
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

it("UserErrors carry each error with its place", async () => {
  await put("miette.yaml", "name: shop\n");
  const error = await load().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserErrors);
  expect((error as UserErrors).errors[0]?.place).toEqual({ file: join(root(), "miette.yaml"), line: 1 });
});
