import { beforeEach, describe, expect, it } from "vitest";
import { HEAD, openTestProject } from "./test-project.ts";

const { put, errors } = openTestProject();

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

  it("is told of signals that say nothing, or that nobody says", async () => {
    const fields =
      "id: { type: integer }\n  gpc: { type: string }\n  ok: { type: boolean }\n  at: { type: string, format: date-time }";
    await put("s.yaml", `type: object\nproperties:\n  ${fields}\nsignals:\n  - { field: gpc, choice: gpc }\n`);
    expect(await errors()).toEqual([
      "s.yaml:7 signals: no field names who says it; give one of them identifier:, or remove the signals.",
    ]);
    const email = "email: { type: string, personal: email, identifier: email }";
    await put(
      "s.yaml",
      `type: object
properties:
  ${fields}
  ${email}
signals:
  - { field: gcp, choice: gpc }
  - { field: email, choice: objection, given: [a@shop.test] }
  - { field: gpc, choice: gpc, given: ["1"] }
  - { field: gpc, choice: consent, given: [granted] }
  - { field: gpc, choice: opt_out, purpose: sale }
  - { field: ok, choice: consent, purpose: marketing, given: ["true"], occurred_at: gpc }
  - { field: ok, choice: limit, expires_at: at }
`,
    );
    expect(await errors()).toEqual([
      's.yaml:9 signals[0].field: "gcp" is no field; did you mean "gpc"?',
      's.yaml:10 signals[1].field: "email" is sealed, and the ledger is not; name a field that is open.',
      "s.yaml:11 signals[2]: the Global Privacy Control has one value and is about sale and sharing; remove purpose and given.",
      "s.yaml:12 signals[3]: a consent is given for one purpose at a moment; add purpose: and occurred_at:.",
      "s.yaml:13 signals[4]: tell which values say it, as in given: [granted].",
      's.yaml:14 signals[5].occurred_at: "gpc" is no date or date-time; name one that is, or leave it out.',
      "s.yaml:14 signals[5]: a boolean says it by true; remove given.",
      "s.yaml:15 signals[6]: only a consent has a notice and an end; remove notice_version and expires_at.",
    ]);
  });

  it("is told of signals in parts of a field, which would never be heard", async () => {
    await put(
      "s.yaml",
      `type: object
properties:
  email: { type: string, personal: email, identifier: email }
  headers: { type: [object, "null"], properties: { sec_gpc: { type: string } } }
  choices: { type: array, items: { type: string } }
  gpc: { type: string }
signals:
  - { field: headers.sec_gpc, choice: gpc }
  - { field: headers, choice: gpc }
  - { field: choices, choice: objection, given: [marketing] }
  - { field: gpc, choice: gpc, jurisdiction: headers/country }
  - { field: gpc.value, choice: gpc }
`,
    );
    const mend = "have the source deliver it as a field of its own.";
    expect(await errors()).toEqual([
      `s.yaml:8 signals[0].field: "headers.sec_gpc" is a part of headers, and signals are read from whole fields; ${mend}`,
      `s.yaml:9 signals[1].field: "headers" holds several values, and a signal is one; ${mend}`,
      `s.yaml:10 signals[2].field: "choices" holds several values, and a signal is one; ${mend}`,
      `s.yaml:11 signals[3].jurisdiction: "headers/country" is a part of headers, and signals are read from whole fields; ${mend}`,
      's.yaml:12 signals[4].field: "gpc.value" is no field; the fields are email, headers, choices, gpc.',
    ]);
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
      's.yaml:11 keys: unknown key "keys"; known here are $schema, title, description, type, required, properties, match_keys, references, signals.',
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
