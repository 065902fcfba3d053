import fc from "fast-check";
import { expect, test } from "vitest";
import { normaliseIdentifier, normaliseMatchPart, phoneCountry } from "./normalise.ts";
import { scrub } from "./scrubber.ts";
import { Naming } from "./tokens.ts";

test.each([
  ["email", " Zoë.Martin@MÜNCHEN.example ", "zoë.martin@xn--mnchen-3ya.example"],
  ["email", "ｊａｎｅ@mail.example", "jane@mail.example"],
  ["email", "no address", null],
  ["email", "@mail.example", null],
  ["phone", "06 39 98 12 34", "+33639981234"],
  ["phone", "0033 6 39 98 12 34", "+33639981234"],
  ["phone", "+44 20 7946 0123", "+442079460123"],
  ["phone", "12", null],
  ["account_id", " A-17 ", "A-17"],
  ["device_id", "a\0b", null],
  ["device_id", "   ", null],
] as const)("%s %j is known as %j", (kind, value, canonical) => {
  expect(normaliseIdentifier(kind, value, "FR")).toBe(canonical);
});

test("what is normalised once stays as it is", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("email", "device_id", "account_id"),
      fc.oneof(fc.emailAddress(), fc.string()),
      (kind, value) => {
        const once = normaliseIdentifier(kind, value, null);
        if (once !== null) expect(normaliseIdentifier(kind, once, null)).toBe(once);
      },
    ),
  );
});

test("the country of a phone number, and none where many share the code", () => {
  expect(phoneCountry("+442079460123")).toBe("GB");
  expect(phoneCountry("+80012345678")).toBeNull();
});

test("parts of a match key agree whatever the case, accents and punctuation", () => {
  expect(normaliseMatchPart("Jean-Noël  O'Brien")).toBe(normaliseMatchPart("JEAN NOEL OBRIEN"));
});

test("addresses and international numbers that hide in open text are found, and nothing else is touched", () => {
  const mark = (kind: string, canonical: string): string => `<${kind} ${canonical}>`;
  expect(scrub("/in?mail=Jane.Doe%40Mail.example&tel=%2B44%2020%207946%200123", mark)).toBe(
    "/in?mail=<email jane.doe@mail.example>&tel=%2B44%2020%207946%200123",
  );
  expect(scrub("call +44 20 7946 0123 or write to jane@mail.example.", mark)).toBe(
    "call <phone +442079460123> or write to <email jane@mail.example>.",
  );
  for (const text of ["order 20240229123456", "1+1=2", "a @ b", "100%", "@media print", "%E0%A4%A"])
    expect(scrub(text, mark)).toBe(text);
});

test("tokens tell kinds apart, and keys of records the parts of a key", () => {
  const naming = new Naming({ record: Buffer.alloc(32, 1), content: Buffer.alloc(32, 2), token: Buffer.alloc(32, 3) });
  expect(naming.token("email", "a")).toMatch(/^email_[0-9a-f]{32}$/);
  expect(naming.token("email", "a").slice(-32)).not.toBe(naming.token("phone", "a").slice(-32));
  expect(naming.recordKey("shop", "lines", ["ab", "c"])).not.toBe(naming.recordKey("shop", "lines", ["a", "bc"]));
  expect(naming.recordKey("shop", "lines", ["1"])).toBe(naming.recordKey("shop", "lines", ["1"]));
});
