import { describe, expect, it } from "vitest";
import { HEAD, CUSTOMERS, openTestProject } from "./test-project.ts";

const { put, errors } = openTestProject();

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
      'miette.yaml:27 colour: unknown key "colour"; known here are name, currency, time_zone, default_country, age_of_consent, sources, identity, goals, destinations, retention, holds, notify.',
    ]);
  });

  it("is told of rules of how long records are kept", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    const streams = "streams: { customers: { key: [id], schema: schemas/c.yaml } }";
    const sources = `sources:\n  shop: { connector: csv, config: { path: a.csv }, ${streams} }\n`;
    await put(
      "miette.yaml",
      `${HEAD}${sources}retention:
  - { category: shop.customers, keep: two years }
holds:
  - { category: shop.customers, purpose: Tax!, keep: 10 years, law: "" }
`,
    );
    expect(await errors()).toEqual([
      'miette.yaml:7 retention[0].keep: "two years" must be a number of days, months or years, as in 25 months.',
      'miette.yaml:9 holds[0].purpose: "Tax!" must be made of lower-case letters, digits and underscores, as in tax.',
      "miette.yaml:9 holds[0].law: must not be empty, as in AO § 147(3).",
    ]);
    await put(
      "miette.yaml",
      `${HEAD}${sources}retention:
  - { category: shop.custmers, keep: 2 years }
  - { category: shop.customers, keep: 2 years, from: created_at }
  - { category: shop.customers, keep: 2 years, from: email }
  - { category: quarantine, keep: 30 days, from: created_at }
`,
    );
    expect(await errors()).toEqual([
      'miette.yaml:7 retention[0].category: is no stream of this project; did you mean "shop.customers"?',
      'miette.yaml:9 retention[2].category: "shop.customers" has two rules; keep the one that counts.',
      "miette.yaml:9 retention[2].from: is no open field of format date or date-time in shop.customers; there are created_at, updated_at.",
      "miette.yaml:10 retention[3]: quarantine age by themselves and are deleted; leave from and then out.",
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

  it("is told of identity rules that contradict each other", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources: { s: { connector: csv, config: { path: a }, streams: { c: { schema: schemas/c.yaml } } } }
identity:
  identifiers:
    - { kind: customer_id, limit: 5, window: { limit: 5, days: 30 } }
    - kind: email
      limit: 5
      window: { limit: 6, days: 30 }
      blocked: ["noreply@*"]
    - kind: name_birth
      blocked: ["smith*"]
`,
    );
    expect(await errors()).toEqual([
      "miette.yaml:10 identity.identifiers[1].window.limit: must be at most the limit of 5 that stands beside it; lower it, or leave the window out.",
      'miette.yaml:13 identity.identifiers[2].blocked: "name_birth" is a match key, and a match key has no value to compare; block a field\'s identifier, or give the key shared_above.',
    ]);
  });

  it("is told of survivorship rules with an unknown attribute, rule or source, or that contradict themselves", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    const head = `${HEAD}sources: { shop: { connector: csv, config: { path: a }, streams: { c: { schema: schemas/c.yaml } } } }
identity:
  survivorship:
`;
    await put("miette.yaml", `${head}    contry: { by: most_recent }\n    birth_year: { by: most_frequnt }\n`);
    expect(await errors()).toEqual([
      'miette.yaml:7 identity.survivorship.contry: unknown key "contry"; did you mean "country"?',
      'miette.yaml:8 identity.survivorship.birth_year.by: "most_frequnt" is not allowed; did you mean "most_frequent"?',
    ]);
    await put(
      "miette.yaml",
      `${head}    country: { by: priority, sources: [shpo] }\n    birth_year: { by: most_recent, sources: [shop] }\n`,
    );
    expect(await errors()).toEqual([
      'miette.yaml:7 identity.survivorship.country.sources[0]: there is no source "shpo"; did you mean "shop"?',
      "miette.yaml:8 identity.survivorship.birth_year.sources: most_recent takes no sources; leave them out, or write by: priority to prefer one to another.",
    ]);
    await put(
      "miette.yaml",
      `${head}    country: { by: priority }\n    birth_year: { by: priority, sources: [shop, shop] }\n`,
    );
    expect(await errors()).toEqual([
      "miette.yaml:8 identity.survivorship.birth_year.sources: has the same entry twice; remove one.",
    ]);
    await put("miette.yaml", `${head}    country: { by: priority }\n`);
    expect(await errors()).toEqual([
      "miette.yaml:7 identity.survivorship.country: priority needs sources; list them, the one to believe first at the front.",
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
