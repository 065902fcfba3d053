import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HAS_SHARED_DATA, SHARED_DATA } from "../test/pipeline.ts";
import { PERSONAL_KINDS } from "../domain/streams.ts";
import { foldEmail, MAIL_PROVIDERS } from "./fold-email.ts";
import { normaliseIdentifier, normaliseMatchPart, phoneCountry } from "./normalise.ts";

test.each([
  ["email", " Zoë.Martin@MÜNCHEN.example ", "zoë.martin@xn--mnchen-3ya.example"],
  ["email", "ｊａｎｅ@mail.example", "jane@mail.example"],
  ["email", "jane@mail。example", "jane@mail.example"],
  ["email", "jane\u200b@mail\u00ad.example", "jane@mail.example"],
  ["email", "Jane Doe <Jane@Mail.example>", "jane@mail.example"],
  ["email", "mailto:jane@mail.example", "jane@mail.example"],
  ["email", "jane@mail.example.", "jane@mail.example"],
  ["email", '"foo@bar"@baz.com', '"foo@bar"@baz.com'],
  ["email", "no address", null],
  ["email", "@mail.example", null],
  ["phone", "06 39 98 12 34", "+33639981234"],
  ["phone", "0033 6 39 98 12 34", "+33639981234"],
  ["phone", "+44 20 7946 0123", "+442079460123"],
  ["phone", "\u202d+44 20 7946 0123\u202c", "+442079460123"],
  ["phone", "12", null],
  ["ip", "2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
  ["ip", "::ffff:192.0.2.1", "192.0.2.1"],
  ["ip", "192.0.2.999", null],
  ["payment", "de89 3704 0044 0532 0130 00", "DE89370400440532013000"],
  ["government_id", "078-05-1120", "078051120"],
  ["government_id", "\u1fd2", "\u03aa\u0300"],
  ["email", "mailto: MAILTO:jane@example.fr", "jane@example.fr"],
  ["name", "  Jean   NOËL ", "jean noël"],
  ["account_id", " A-17 ", "A-17"],
  ["device_id", "a\0b", null],
  ["device_id", "   ", null],
] as const)("%s %j is known as %j", (kind, value, canonical) => {
  expect(normaliseIdentifier(kind, value, "FR")).toBe(canonical);
});

test("what is normalised once stays as it is, for every kind", () => {
  const text = fc.oneof(fc.emailAddress(), fc.ipV6(), fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(fc.constantFrom(...PERSONAL_KINDS), text, (kind, value) => {
      const once = normaliseIdentifier(kind, value, "FR");
      if (once !== null) expect(normaliseIdentifier(kind, once, "FR")).toBe(once);
    }),
    { numRuns: 500 },
  );
});

test("an e-mail address has one folded form for all spellings that reach its mailbox", () => {
  const spellings = ["j.ane+x@gmail.com", "jane@googlemail.com", "J.A.N.E@GMAIL.COM", "jane+a+b@gmail.com"];
  const folded = spellings.map((each) => foldEmail(normaliseIdentifier("email", each, null) as string));
  expect(new Set(folded)).toEqual(new Set(["jane@gmail.com"]));
  fc.assert(
    fc.property(fc.emailAddress(), (address) => {
      const canonical = normaliseIdentifier("email", address, null);
      if (canonical !== null) expect(foldEmail(foldEmail(canonical))).toBe(foldEmail(canonical));
    }),
  );
});

test("the country of a phone number, and none where many share the code", () => {
  expect(phoneCountry("+442079460123")).toBe("GB");
  expect(phoneCountry("+80012345678")).toBeNull();
});

test("parts of a match key agree whatever the case, accents and punctuation, the mailbox or the way a number is written", () => {
  const part = (kind: Parameters<typeof normaliseMatchPart>[0], value: string): string =>
    normaliseMatchPart(kind, value, "FR");
  expect(part("name", "Jean-Noël  O'Brien")).toBe(part("name", "JEAN NOEL OBRIEN"));
  expect(part("email", "J.ane+shop@GMail.com")).toBe(part("email", "jane@googlemail.com"));
  expect(part("phone", "06 39 98 12 34")).toBe(part("phone", "+33639981234"));
  expect(part("email", "none")).toBe("");
});

if (!HAS_SHARED_DATA) console.warn(`normalisation vectors are absent at ${SHARED_DATA}: their tests are skipped`);

describe.skipIf(!HAS_SHARED_DATA)("vectors of other libraries", () => {
  const read = (name: string): string => readFileSync(join(SHARED_DATA, "pii_normalise", name), "utf8");

  test("all 1,999 phone numbers of libphonenumber", () => {
    const lines = read("libphonenumber_e164.csv").trim().split("\n").slice(1);
    const wrong = lines.filter((line) => {
      const [, input = "", region = "", e164 = "", valid] = /^(.*),([A-Z]*),([^,]*),([01])\r?$/.exec(line) ?? [];
      return (
        normaliseIdentifier("phone", input.replace(/^"|"$/g, ""), region || null) !== (valid === "1" ? e164 : null)
      );
    });
    expect(lines).toHaveLength(1999);
    expect(wrong).toEqual([]);
  });

  test("all 98 e-mail addresses of validator.js, its options being single rules of the providers", () => {
    const vectors = JSON.parse(read("validatorjs_normalizeEmail.json")) as {
      input: string;
      options: Record<string, boolean>;
      expected: string | false;
    }[];
    expect(vectors).toHaveLength(98);
    for (const { input, options, expected } of vectors) {
      const canonical = normaliseIdentifier("email", input, null);
      if (expected === false || canonical === null) {
        expect([input, canonical]).toEqual([input, expected === false ? null : expected]);
        continue;
      }
      const providers = MAIL_PROVIDERS.map(({ domain, sameAs, tag, ignoresDots }) => ({
        domain,
        ...(sameAs &&
          options[sameAs === "gmail.com" ? "gmail_convert_googlemaildotcom" : "yandex_convert_yandexru"] !== false && {
            sameAs,
          }),
        ...(tag && options["gmail_remove_subaddress"] !== false && { tag }),
        ...(ignoresDots && options["gmail_remove_dots"] !== false && { ignoresDots }),
      }));
      // Where the library was told to keep the case of mailboxes, it is compared without: ours never has one.
      expect([input, foldEmail(canonical, providers)]).toEqual([input, normaliseIdentifier("email", expected, null)]);
    }
  });
});
