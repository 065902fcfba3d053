import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type ConnectorSpecs, loadProject } from "./config.ts";
import { UserError, UserErrors } from "./domain/errors.ts";
import { REMAINS } from "./domain/remains.ts";
import { PERSONAL_KINDS } from "./domain/streams.ts";
import { remainsOf } from "./privacy/remains.ts";

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

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-config-"));
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

const load = async (env: Record<string, string> = {}) => await loadProject(root, { connectorSpecs, env });

/** The errors of loading, one a line, with paths from the project's folder. */
async function errors(env: Record<string, string> = {}): Promise<string[]> {
  try {
    await load(env);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message.replaceAll(`${root}/`, "").replaceAll(root, ".").split("\n");
  }
  return [];
}

const HEAD = "name: shop\ncurrency: EUR\ntime_zone: UTC\n";

const CUSTOMERS = `type: object
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

const ORDERS = `type: object
properties:
  id: { type: integer }
  customer: { type: integer, personal: account_id, identifier: customer_id }
references: [{ field: customer, stream: customers }]
`;

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
      directory: root,
      currency: "EUR",
      timeZone: "Europe/Paris",
      defaultCountry: "FR",
      sources: [],
      identity: {
        identifiers: [
          { kind: "customer_id", limit: 1, blocked: [], sharedAbove: null },
          { kind: "email", limit: 5, blocked: ["noreply@*"], sharedAbove: 4 },
          { kind: "name_birth", limit: null, blocked: [], sharedAbove: null },
        ],
      },
      goals: [
        {
          name: "repeat",
          measure: "select 1",
          target: 0.35,
          direction: "at_least",
          by: "2027-03-31",
          start: null,
          place: { file: join(root, "miette.yaml"), line: 26, key: "goals[0].measure" },
        },
      ],
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
          schemaFile: join(root, "schemas/customers.yaml"),
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
          schemaFile: join(root, "schemas/orders.yaml"),
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
    expect(identity.identifiers[0]).toEqual({ kind: "customer_id", limit: null, blocked: [], sharedAbove: null });
  });
});

describe("what is wrong with a project file", () => {
  it("is told where there is none", async () => {
    expect(await errors()).toEqual([
      '.: there is no miette.yaml to read; name the project\'s folder by --project, or make one with "miette init".',
    ]);
  });

  it("is told where it is no YAML, line by line, without quoting it", async () => {
    await put("miette.yaml", "name: a\nname: hunter2\ncurrency: !secret hunter2\n");
    expect(await errors()).toEqual([
      "miette.yaml:2: is not valid YAML: duplicate key; mend this line.",
      "miette.yaml:3: is not valid YAML: tag resolve failed; mend this line.",
    ]);
    await put("miette.yaml", Uint8Array.of(0x6e, 0xe9));
    expect(await errors()).toEqual(["miette.yaml: the file is not UTF-8; save it as UTF-8."]);
    const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i++)
      bomb.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(", ")}]`);
    await put("miette.yaml", bomb.join("\n"));
    expect(await errors()).toEqual(["miette.yaml: has aliases that expand too far; write the values out."]);
  });

  it("is told where it is empty or has the wrong shape", async () => {
    await put("miette.yaml", "# nothing yet\n");
    expect(await errors()).toEqual(["miette.yaml: must be a mapping, not empty."]);
    await put("miette.yaml", "name: shop\nsources:\n  shop:\n  other: [csv]\nidentity: { identifiers: {} }\n");
    expect(await errors()).toEqual([
      'miette.yaml:1: the key "currency" is missing; add it, as in currency: EUR.',
      'miette.yaml:1: the key "time_zone" is missing; add it, as in time_zone: Europe/Paris.',
      "miette.yaml:3 sources.shop: must be a mapping, not empty.",
      "miette.yaml:4 sources.other: must be a mapping, not a list.",
      "miette.yaml:5 identity.identifiers: must be a list, as in [{kind: email}], not a mapping.",
    ]);
  });

  it("is told all at once, in the order of the file", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `name: my shop
currency: EURO
time_zone: Europe/Pariss
default_country: UK
sources:
  shop:
    conector: csv
    schedule: { every: 15 min }
    streams:
      customers: { mode: upsrt, key: id, schema: schemas/c.yaml, reject_limit: 2 }
      Orders: { key: [], schema: schemas/none.yaml }
  files:
    connector: cvs
    schedule: { cron: "0 25 * * *" }
    streams:
      c: { mode: upsert, cursor: creatd_at, version: email, window: spent, schema: schemas/c.yaml }
      d: { key: [idd, full_name], schema: schemas/c.yaml }
  both:
    connector: csv
    schedule: { cron: "* * *", every: 1h }
    config: { pth: a.csv, delimiter: 3 }
identity:
  identifiers:
    - { kind: customer_id, limit: 0, blocked: ["**"] }
goals: [{ name: x, measure: "", target: "3", by: tomorrow }]
notify: { webhook: "ftp://x" }
colour: red
`,
    );
    expect(await errors()).toEqual([
      'miette.yaml:1 name: "my shop" must be made of letters, digits, - and _, as in electronics-shop.',
      "miette.yaml:2 currency: is no ISO 4217 currency; write its code in capitals, as in EUR.",
      'miette.yaml:3 time_zone: is no IANA time zone; did you mean "Europe/Paris"?',
      "miette.yaml:4 default_country: is no ISO 3166-1 country; write its two capital letters, as in FR.",
      'miette.yaml:6 sources.shop: the key "connector" is missing; add it, as in connector: csv.',
      'miette.yaml:7 sources.shop.conector: unknown key "conector"; did you mean "connector"?',
      'miette.yaml:8 sources.shop.schedule.every: "15 min" must be a whole number and s, m, h or d, as in 15m.',
      'miette.yaml:10 sources.shop.streams.customers.mode: "upsrt" is not allowed; did you mean "upsert"?',
      "miette.yaml:10 sources.shop.streams.customers.key: must be a list, as in [id], not a text.",
      "miette.yaml:10 sources.shop.streams.customers.reject_limit: must be at most 1.",
      'miette.yaml:11 sources.shop.streams.Orders: "Orders" must be made of lower-case letters, digits and single underscores, as in order_lines.',
      "miette.yaml:11 sources.shop.streams.Orders.key: must have at least 1 entry, as in [id].",
      'miette.yaml:11 sources.shop.streams.Orders.schema: the file schemas/none.yaml can\'t be read; write it, or let "miette discover shop --write" propose it.',
      'miette.yaml:13 sources.files.connector: there is no connector "cvs"; did you mean "csv"?',
      "miette.yaml:14 sources.files.schedule.cron: has a wrong hour; it goes from 0 to 23, as in *, 0-23 or */2.",
      'miette.yaml:16 sources.files.streams.c.cursor: "creatd_at" is no field of schemas/c.yaml; did you mean "created_at"?',
      'miette.yaml:16 sources.files.streams.c.version: "email" is no integer, number, date or date-time; name one of these, or leave version out.',
      'miette.yaml:16 sources.files.streams.c.window: "spent" is no date or date-time; name one of these, or leave window out.',
      'miette.yaml:16 sources.files.streams.c: mode upsert needs a key; add it, as in key: [id], or choose "append" or "snapshot".',
      'miette.yaml:17 sources.files.streams.d.key[0]: "idd" is no field of schemas/c.yaml; did you mean "id"?',
      "miette.yaml:20 sources.both.schedule: must have at most 1 key of every, cron.",
      "miette.yaml:20 sources.both.schedule.cron: must have five fields (minute, hour, day of the month, month, day of the week), as in 0 2 * * *.",
      'miette.yaml:21 sources.both.config: the key "path" is missing; add it, as in path: data/*.csv.',
      'miette.yaml:21 sources.both.config.pth: unknown key "pth"; did you mean "path"?',
      "miette.yaml:21 sources.both.config.delimiter: must be a text, not a number.",
      "miette.yaml:24 identity.identifiers[0].limit: must be at least 1.",
      'miette.yaml:24 identity.identifiers[0].blocked[0]: "**" would block every value; leave a part that is no *, as in noreply@*.',
      "miette.yaml:25 goals[0].measure: must not be empty, as in select count(*) from mart.dim_customers.",
      "miette.yaml:25 goals[0].target: must be a number, as in 0.35, not a text.",
      'miette.yaml:25 goals[0].by: "tomorrow" must be a day, as in 2027-03-31.',
      "miette.yaml:26 notify.webhook: the value must be an http or https URL, as in ${ALERT_WEBHOOK}.",
      'miette.yaml:27 colour: unknown key "colour"; known here are name, currency, time_zone, default_country, sources, identity, goals, notify.',
    ]);
  });

  it("names a missing environment variable and its key, and nothing that follows from it", async () => {
    await put(
      "miette.yaml",
      `${HEAD}sources:
  a: { connector: postgres, config: { url: "\${A_URL}" } }
  b: { connector: postgres, config: { url: "\${b url}" } }
notify: { webhook: "https://\${HOST}/\${TOKEN}" }
`,
    );
    expect(await errors({ HOST: "example.org" })).toEqual([
      "miette.yaml:5 sources.a.config.url: the environment variable A_URL is not set; set it before the command.",
      "miette.yaml:6 sources.b.config.url: ${ must be followed by a variable's name and }, as in ${SHOP_PASSWORD}; $${ stands for ${ itself.",
      "miette.yaml:7 notify.webhook: the environment variable TOKEN is not set; set it before the command.",
    ]);
  });

  it("never shows a value of a connector's config", async () => {
    await put(
      "miette.yaml",
      `${HEAD}sources: { a: { connector: postgres, config: { url: "mysql://u:hunter2@h/d" } } }\n`,
    );
    expect(await errors()).toEqual(["miette.yaml:4 sources.a.config.url: the value must match the pattern ^postgres."]);
    await put("miette.yaml", `${HEAD}sources: { a: { connector: postgres, config: { url: "\${U}" } } }\n`);
    expect((await errors({ U: "hunter2" })).join()).not.toContain("hunter2");
  });

  it("is placed at the stream's own config where that is what is wrong, and told once where it is the source's", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources:
  files:
    connector: csv
    config: { path: a.csv, delimiter: tab }
    streams:
      one: { schema: schemas/c.yaml }
      two: { schema: schemas/c.yaml }
      three:
        schema: schemas/c.yaml
        config: { delimiter: 1 }
`,
    );
    expect(await errors()).toEqual([
      "miette.yaml:7 sources.files.config.delimiter: must have at most 1 characters.",
      "miette.yaml:13 sources.files.streams.three.config.delimiter: must be a text, not a number.",
    ]);
  });

  it("is told of names that are too long for a table", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    const [fits, long] = ["s".repeat(22), "s".repeat(23)];
    await put(
      "miette.yaml",
      `${HEAD}sources:\n  ${"a".repeat(30)}:\n    connector: csv\n    config: { path: a.csv }\n    streams:
      ${fits}: { schema: schemas/c.yaml }\n      ${long}: { schema: schemas/c.yaml }\n`,
    );
    expect(await errors()).toEqual([
      `miette.yaml:10 sources.${"a".repeat(30)}.streams.${long}: ${"a".repeat(30)}__${long} has 55 characters, and 54 fit; shorten the source's or the stream's name.`,
    ]);
  });

  it("is told of identity kinds that are listed twice or that no schema has", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources: { s: { connector: csv, config: { path: a }, streams: { c: { schema: schemas/c.yaml } } } }
identity:
  identifiers:
    - kind: email
    - kind: emial
    - kind: email
    - kind: phone
`,
    );
    expect(await errors()).toEqual([
      'miette.yaml:8 identity.identifiers[1].kind: no schema has an identifier or match key "emial"; did you mean "email"?',
      'miette.yaml:9 identity.identifiers[2].kind: "email" is listed twice; keep the stronger place.',
      'miette.yaml:10 identity.identifiers[3].kind: no schema has an identifier or match key "phone"; the schemas have customer_id, email, name_birth.',
    ]);
  });

  it.each([
    ["+01:00", "is no IANA time zone; write one as in Europe/Paris or UTC."],
    ["Mars/Olympus", "is no IANA time zone; write one as in Europe/Paris or UTC."],
    ["${TZ}", "the environment variable TZ is not set; set it before the command."],
  ])("refuses the time zone %s", async (zone, message) => {
    await put("miette.yaml", `name: a\ncurrency: EUR\ntime_zone: "${zone}"\nsources: {}\n`);
    expect(await errors()).toEqual([`miette.yaml:3 time_zone: ${message}`]);
  });
});

describe("what is wrong with a stream's schema", () => {
  beforeEach(async () => {
    await put(
      "miette.yaml",
      `${HEAD}sources:
  shop:
    connector: csv
    config: { path: a.csv }
    streams:
      s: { schema: s.yaml }
      lines: { key: [order, line], schema: lines.yaml }
`,
    );
    await put("lines.yaml", "type: object\nproperties:\n  order: { type: integer }\n  line: { type: integer }\n");
  });

  it("is told by file, line and key", async () => {
    await put(
      "s.yaml",
      `type: array
required: id
properties:
  id: { identifier: customer_id }
  email: { type: [string, nul], personel: email }
  name: { type: text, personal: nam, format: datetime }
  price: { type: number, decimal: [12] }
  code: { type: string, pattern: "(" }
match_keys: { Name: [] }
references: [{ field: id, to: orders }]
keys: [id]
`,
    );
    expect(await errors()).toEqual([
      's.yaml:1 type: must be "object".',
      "s.yaml:2 required: must be a list, as in [id], not a text.",
      's.yaml:4 properties.id: the key "personal" is missing, which identifier needs; add it, as in personal: email.',
      's.yaml:4 properties.id: the key "type" is missing; add it.',
      's.yaml:5 properties.email.personel: unknown key "personel"; did you mean "personal"?',
      's.yaml:5 properties.email.type[1]: "nul" is not allowed; did you mean "null"?',
      's.yaml:6 properties.name.type: "text" is not allowed; write one of string, integer, number, boolean, object, array, null.',
      's.yaml:6 properties.name.format: "datetime" is not allowed; did you mean "date-time"?',
      's.yaml:6 properties.name.personal: "nam" is not allowed; did you mean "name"?',
      "s.yaml:7 properties.price.decimal: must have at least 2 entries, as in [12, 2].",
      's.yaml:8 properties.code.pattern: "(" must be a regular expression of JavaScript.',
      's.yaml:9 match_keys.Name: "Name" must be made of lower-case letters, digits and single underscores, as in customer_id.',
      "s.yaml:9 match_keys.Name: must have at least 1 entry, as in [full_name, birth_date].",
      's.yaml:10 references[0]: the key "stream" is missing; add it, as in stream: orders.',
      's.yaml:10 references[0].to: unknown key "to"; known here are field, stream.',
      's.yaml:11 keys: unknown key "keys"; known here are $schema, title, description, type, required, properties, match_keys, references.',
    ]);
  });

  it("is told where its parts do not fit each other", async () => {
    await put(
      "s.yaml",
      `type: object
required: [idd]
properties:
  id: { type: integer, format: date }
  price: { type: string, decimal: [12, 2] }
  cost: { type: number, decimal: [2, 12] }
  email: { type: string, personal: email, keep: [domian] }
  name: { type: string, personal: name, keep: [initial] }
  address:
    type: object
    properties:
      street: { type: string, personal: address }
      lines: { type: array, items: { type: number, decimal: [3, 1] } }
match_keys:
  who: [name, birth_date]
references:
  - { field: order, stream: lines }
  - { field: id, stream: lines }
  - { field: [id, cost], stream: shop.line }
  - { field: id, stream: s }
`,
    );
    expect(await errors()).toEqual([
      's.yaml:2 required[0]: "idd" is no field; did you mean "id"?',
      "s.yaml:4 properties.id.format: is for fields of type string; change the type or remove it.",
      "s.yaml:5 properties.price.decimal: is for fields of type number; change the type or remove it.",
      "s.yaml:6 properties.cost.decimal: must be the count of all digits, then of those after the point, as in [12, 2].",
      's.yaml:7 properties.email.keep[0]: "domian" is nothing that email can keep; did you mean "domain"?',
      's.yaml:8 properties.name.keep[0]: "initial" is nothing that name can keep; it offers none, so remove it.',
      "s.yaml:12 properties.address.properties.street.personal: is for a whole field, not for a part of address; write it on address or remove it.",
      "s.yaml:13 properties.address.properties.lines.items.decimal: is for a whole field, not for a part of address; write it on address or remove it.",
      's.yaml:15 match_keys.who[1]: "birth_date" is no field; the fields are id, price, cost, email, name, address.',
      's.yaml:17 references[0].field[0]: "order" is no field; the fields are id, price, cost, email, name, address.',
      "s.yaml:17 references[0].field: has 1 of the 2 fields of the key of lines; name the fields that hold order, line, in this order.",
      "s.yaml:18 references[1].field: has 1 of the 2 fields of the key of lines; name the fields that hold order, line, in this order.",
      's.yaml:19 references[2].stream: there is no stream "shop.line"; there are s, lines.',
      "s.yaml:20 references[3]: the reference to s and the reference to lines would both be the column id_record_key; remove one of them.",
      "s.yaml:20 references[3].stream: s has no key to refer to; give it a key in miette.yaml.",
    ]);
  });

  it("is told where two fields would be one column, and not where one of them is sealed", async () => {
    await put(
      "s.yaml",
      `type: object
properties:
  Order ID: { type: integer }
  order_id: { type: integer }
  email: { type: string, personal: email, identifier: email, keep: [domain] }
  emailDomain: { type: string }
  Name: { type: string, personal: name }
  name: { type: string }
`,
    );
    expect(await errors()).toEqual([
      's.yaml:4 properties.order_id: the field "order_id" and the field "Order ID" would both be the column order_id; remove one of them.',
      's.yaml:6 properties.emailDomain: the field "emailDomain" and the domain of "email" would both be the column email_domain; remove one of them.',
    ]);
  });

  it("is told once where several streams share it, and where it is no YAML", async () => {
    await put("s.yaml", "type: object\nproperties: { a: { type: strng } }\n");
    await put(
      "miette.yaml",
      `${HEAD}sources: { s: { connector: csv, config: { path: a }, streams: { a: { schema: s.yaml }, b: { schema: s.yaml } } } }\n`,
    );
    expect(await errors()).toEqual(['s.yaml:2 properties.a.type: "strng" is not allowed; did you mean "string"?']);
    await put("s.yaml", "type: [object\n");
    expect(await errors()).toEqual([expect.stringMatching(/^s\.yaml:2: is not valid YAML: /)]);
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
  expect((error as UserErrors).errors[0]?.place).toEqual({ file: join(root, "miette.yaml"), line: 1 });
});
