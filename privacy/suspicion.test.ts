import fc from "fast-check";
import { expect, test } from "vitest";
import { scrubJson } from "./scrub-json.ts";
import { isSuspicious, namesPhoneInJson } from "./suspicion.ts";

const key = fc.constantFrom("phone", "contact_mobile", "tel", "fax", "number", "price", "sku", "téléphone");
const digits = fc.stringMatching(/^0[1-9](?:[ .-]?\d{2}){1,4}$/);
const value = fc.oneof(
  digits,
  fc.stringMatching(/^(?:tel|no\.|\(|٠)? ?0[1-9](?:[ .()/"'x-]{0,3}\d{1,3}){1,6}$/),
  fc.integer({ min: 0, max: 999_999_999_999 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 8 }),
  fc.constantFrom(null, "", "red", 12.5),
);
const { object } = fc.letrec<{ object: Record<string, unknown> }>((tie) => ({
  object: fc.dictionary(key, fc.oneof({ maxDepth: 2 }, value, tie("object")), { maxKeys: 4 }),
}));

test("whatever is found in JSON was suspected by one look at its text", () => {
  let found = 0;
  fc.assert(
    fc.property(object, (sent) => {
      const text = JSON.stringify(sent);
      const scrubbed = JSON.stringify(scrubJson(sent, () => "found", "FR"));
      if (scrubbed === text) return;
      found += 1;
      expect(namesPhoneInJson(text) || isSuspicious(text), text).toBe(true);
    }),
    { numRuns: 5_000 },
  );
  expect(found).toBeGreaterThan(500);
});

test("a price beside a phone's colour is no reason to parse it, a number is", () => {
  expect(namesPhoneInJson('{"phone":"red","price":1206.84,"stock":97,"ms":54987}')).toBe(false);
  expect(namesPhoneInJson('{"phone":"06 12 34 56 78"}')).toBe(true);
  expect(namesPhoneInJson('{"phone":{"number":612345678}}')).toBe(true);
  expect(namesPhoneInJson('{"order":"06 12 34 56 78"}')).toBe(false);
});
