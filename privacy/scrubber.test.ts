import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plainView } from "./plain-view.ts";
import { scrubJson } from "./scrub-json.ts";
import { scrub } from "./scrubber.ts";

const mark = (kind: string, canonical: string): string => `<${kind} ${canonical}>`;
const EMAIL = "<email jane.doe@mail.example>";
const PHONE = "<phone +442079460123>";

describe("an e-mail address is found", () => {
  test.each([
    ["as a text", "Jane.Doe@Mail.example", EMAIL],
    ["in a sentence", "write to jane.doe@mail.example.", `write to ${EMAIL}.`],
    ["before a word without a blank", "jane.doe@mail.example, or not", `${EMAIL}, or not`],
    ["in quotes", "'jane.doe@mail.example'", `'${EMAIL}'`],
    ["in a query", "/in?mail=jane.doe@mail.example&b=1", `/in?mail=${EMAIL}&b=1`],
    ["percent-encoded", "/in?mail=Jane.Doe%40Mail.example&b=1", `/in?mail=${EMAIL}&b=1`],
    [
      "percent-encoded twice",
      "?next=%2Fin%3Fmail%3Djane.doe%2540mail.example%26b",
      `?next=%2Fin%3Fmail%3D${EMAIL}%26b`,
    ],
    ["percent-encoded three times", "u=jane.doe%252540mail.example", `u=${EMAIL}`],
    [
      "with every letter percent-encoded",
      [..."jane.doe@mail.example"].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(""),
      EMAIL,
    ],
    ["between encoded blanks", "q=%20jane.doe%40mail.example%20x", `q=%20${EMAIL}%20x`],
    [
      "in a path",
      "https://shop.example/users/jane.doe%40mail.example/orders",
      `https://shop.example/users/${EMAIL}/orders`,
    ],
    ["in a fragment", "https://shop.example/#jane.doe@mail.example", `https://shop.example/#${EMAIL}`],
    ["in mailto", "mailto:jane.doe@mail.example?subject=x", `mailto:${EMAIL}?subject=x`],
    ["in JSON within a text", '{"a":{"email":"jane.doe@mail.example"}}', `{"a":{"email":"${EMAIL}"}}`],
    ["in JSON within JSON", '{\\"email\\":\\"jane.doe@mail.example\\"}', `{\\"email\\":\\"${EMAIL}\\"}`],
    ["with an escape of JSON", "jane.doe\\u0040mail.example", EMAIL],
    ["behind a line break of JSON", "Dear all\\njane.doe@mail.example", `Dear all\\n${EMAIL}`],
    [
      "with HTML's references",
      "jane.doe&#64;mail&#x2e;example jane.doe&commat;mail&period;example",
      `${EMAIL} ${EMAIL}`,
    ],
    ["in markup", '<a href="mailto:jane.doe@mail.example">x</a>', `<a href="mailto:${EMAIL}">x</a>`],
    ["with a full-width at sign and stop", "jane.doe＠mail．example", EMAIL],
    ["with an ideographic stop", "jane.doe@mail。example", EMAIL],
    ["with invisible characters", "jane.\u200bdoe@\u00admail.example", EMAIL],
    [
      "in base64",
      `?u=${Buffer.from("jane.doe@mail.example").toString("base64")}`,
      `?u=${Buffer.from(EMAIL).toString("base64").replace(/=+$/, "")}==`,
    ],
    [
      "in base64 within base64",
      Buffer.from(Buffer.from("jane.doe@mail.example").toString("base64")).toString("base64"),
      Buffer.from(Buffer.from(EMAIL).toString("base64").replace(/=+$/, "")).toString("base64"),
    ],
    ["with an escape of JSON within JSON", "jane.doe\\\\u0040mail.example", EMAIL],
    ["with escapes of JavaScript", "jane.doe\\u{40}mail%u002eexample", EMAIL],
    ["of another alphabet", "пиши на почта@пример.рф!", "пиши на <email почта@xn--e1afmkfd.xn--p1ai>!"],
    ["at an IP address", "root@192.0.2.1", "<email root@192.0.2.1>"],
    ["two in one text", "jane.doe@mail.example,jane.doe@mail.example", `${EMAIL},${EMAIL}`],
    ["with the next one right behind", "jane.doe@mail.example;x@y.example", `${EMAIL};<email x@y.example>`],
  ])("%s", (_, text, expected) => {
    expect(scrub(text, mark).replace(/=*$/, "")).toBe(expected.replace(/=*$/, ""));
  });
});

describe("a phone number is found", () => {
  test.each([
    ["in a sentence", "call +44 20 7946 0123 or not", `call ${PHONE} or not`],
    ["with its zero in brackets", "+44 (0)20 7946-0123", PHONE],
    ["percent-encoded", "tel=%2B442079460123&x=1", `tel=${PHONE}&x=1`],
    ["with encoded blanks", "/in?tel=%2B44%2020%207946%200123", `/in?tel=${PHONE}`],
    ["with blanks as pluses", "/in?tel=%2B44+20+7946+0123&x=1", `/in?tel=${PHONE}&x=1`],
    ["encoded twice", "tel=%252B442079460123", `tel=${PHONE}`],
    ["its plus read as a blank", "?phone=%20442079460123&x=1", `?phone=%20${PHONE}&x=1`],
    ["in JSON", '{"phone":"+44 20 7946 0123"}', `{"phone":"${PHONE}"}`],
    ["in tel:", "tel:+44-20-7946-0123", `tel:${PHONE}`],
    ["in full-width digits", "＋４４２０７９４６０１２３", PHONE],
    ["without its country, behind a key", "phone=06 39 98 12 34", "phone=<phone +33639981234>"],
    [
      "of a key with an index",
      "mobile[]=0639981234&tel_2=0639981234",
      "mobile[]=<phone +33639981234>&tel_2=<phone +33639981234>",
    ],
    ["of a key within a key", "user[phone]=0639981234", "user[phone]=<phone +33639981234>"],
    ["of a key of two words", "homePhone=0639981234", "homePhone=<phone +33639981234>"],
    [
      "of keys of other languages",
      "téléphone: 0639981234, Handy=0639981234",
      "téléphone: <phone +33639981234>, Handy=<phone +33639981234>",
    ],
    ["in XML", "<phone>06 39 98 12 34</phone>", "<phone><phone +33639981234></phone>"],
    [
      "in a sentence after its word",
      "Tel. 06 39 98 12 34, phone no. 0639981234",
      "Tel. <phone +33639981234>, phone no. <phone +33639981234>",
    ],
    ["in a link to WhatsApp", "https://wa.me/442079460123", `https://wa.me/${PHONE}`],
  ])("%s", (_, text, expected) => {
    expect(scrub(text, mark, { defaultCountry: "FR" }).replace(/= </, "=%20<")).toBe(expected.replace(/= </, "=%20<"));
  });

  test("without its country, as the value of a key", () => {
    for (const key of [
      "phone",
      "mobile_phone",
      "customerPhone",
      "Phone Number",
      "tel",
      "phones",
      "Telefono",
      "cellphone",
      "GSM",
    ])
      expect(scrub("06 39 98 12 34", mark, { key, defaultCountry: "FR" })).toBe("<phone +33639981234>");
    expect(scrub("06 39 98 12 34", mark, { key: "reference", defaultCountry: "FR" })).toBe("06 39 98 12 34");
  });
});

test.each([
  "order 20240229123456",
  "1+1=2",
  "a @ b",
  "100%",
  "@media print",
  "%E0%A4%A",
  "me@localhost",
  "v1@2.3",
  "&amp;&nbsp;&unknown;&#0;&#99999999;",
  "\\u12 \\x",
  "9b2d3c0e-6f1a-4a3e-9d57-0c6a1f5e8b7d",
  "https://shop.example/some/long/path-with-words?utm_source=news&utm_campaign=a+b+c",
  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
  "tel aviv: 2024",
  "phone: yes",
  "hotel 0639981234",
  "headphones of 2024 for 12.345.678",
  "C+++++++++",
  "",
])("%j is left as it is", (text) => {
  expect(scrub(text, mark, { defaultCountry: "FR" })).toBe(text);
});

test("however an address is encoded and whatever stands beside it, none of it is left", () => {
  const addresses = [
    "x@y.example",
    "x%40y.example",
    "x%2540y%252eexample",
    "x\\u0040y.example",
    "x&#64;y.example",
    "x＠y。example",
  ];
  const beside = [
    "a",
    "é",
    "🦊",
    " ",
    "/",
    "?",
    "&",
    "=",
    "%",
    "%20",
    "%2",
    "@",
    ".",
    "+",
    "1",
    "+442079460123",
    "\\",
    '"',
    "&#",
    ";",
  ];
  const piece = fc.oneof(fc.constantFrom(...addresses), fc.constantFrom(...beside));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const scrubbed = scrub(pieces.join(""), (kind) => `${kind}_0123456789abcdef0123456789abcdef`);
      expect(plainView(scrubbed).text).not.toContain("x@y.example");
      expect(scrubbed.isWellFormed()).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["at signs", "@".repeat(1_000_000)],
  ["mailboxes without end", "a.".repeat(500_000) + "@"],
  ["domains without end", `a@${"b.".repeat(500_000)}`],
  ["at signs in words", "a@b".repeat(300_000)],
  ["pluses", "+1".repeat(500_000)],
  ["digits", "+" + "1 ".repeat(500_000)],
  ["percents", "%25".repeat(300_000)],
  ["references", "&#".repeat(500_000)],
  ["base64", "QUFB".repeat(250_000)],
  ["keys", "phone=".repeat(150_000)],
  ["quotes", '"@'.repeat(400_000)],
])("a megabyte of %s is done in bounded steps", (_, text) => {
  // Quadratic work over a megabyte would take hours; the test's own limit ends it.
  expect(scrub(text, mark).length).toBeGreaterThan(0);
});

test("within JSON every text and every key is scrubbed, and a number under a phone's key", () => {
  const value = {
    "jane.doe@mail.example": { list: ["+44 20 7946 0123", 1, null, true] },
    mobile: 33639981234,
    order: 33639981234,
    phone: { number: 33639981234, verified: 33639981234 },
    phones: [33639981234, { value: "06 39 98 12 34" }],
  };
  expect(scrubJson(value, mark, "FR")).toEqual({
    [EMAIL]: { list: [PHONE, 1, null, true] },
    mobile: "<phone +33639981234>",
    order: 33639981234,
    phone: { number: "<phone +33639981234>", verified: 33639981234 },
    phones: ["<phone +33639981234>", { value: "<phone +33639981234>" }],
  });
  const own = JSON.parse('{"__proto__":"jane.doe@mail.example"}') as object;
  expect(JSON.stringify(scrubJson(own, mark, null))).toBe(JSON.stringify(own).replace("jane.doe@mail.example", EMAIL));
});
