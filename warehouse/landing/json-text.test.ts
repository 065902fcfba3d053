import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson } from "../../domain/json.ts";
import { canonicalJson, canonicalText } from "./json-text.ts";

/** Numbers as people and programs spell them, valid JSON or not. */
const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.stringMatching(/^-?\d{1,18}(?:\.\d{1,8})?(?:e-?\d)?$/),
  fc.constantFrom(
    "-0",
    "0",
    "-0.5",
    "0.000001",
    "0.0000001",
    "1.50",
    "01",
    "1.",
    "999999999999999",
    "9007199254740993",
  ),
);
const text = fc.oneof(
  fc.string().map((value) => JSON.stringify(value)),
  fc.string({ unit: "binary" }).map((value) => `"${value}"`),
  fc.constantFrom('"__proto__"', '"a"', '"10"', '"\ud800"', '"한😀"', '"\u2028"'),
);
const value = fc.oneof(number, text, fc.json(), fc.constantFrom("true", "false", "null", "[1]", "{}", "nul", ""));
const blank = fc.constantFrom("", "", "", " ", "\n");
const object = fc
  .tuple(fc.array(fc.tuple(text, blank, value), { maxLength: 50 }), blank, fc.constantFrom("", "", "", ",", "}", "x"))
  .map(
    ([members, space, rest]) =>
      `{${members.map(([name, gap, each]) => `${name}:${gap}${each}`).join(`,${space}`)}}${rest}`,
  );

test("JSON that is put in order without being parsed has the text that it has when it is", () => {
  fc.assert(
    fc.property(fc.oneof(object, fc.json(), fc.string()), (json) => {
      const plain = canonicalText(json);
      if (plain !== null) expect(plain).toBe(canonicalJson(parseJson(json)));
    }),
    { numRuns: 3_000 },
  );
});

test("what shops send along mostly needs no parsing: short texts, numbers, nothing nested", () => {
  const sent = '{"price":1206.84,"list":"résultats","stock":97,"at":1764590400000,"is_new":false,"code":null}';
  const sorted = '{"at":1764590400000,"code":null,"is_new":false,"list":"résultats","price":1206.84,"stock":97}';
  expect(canonicalText(sent)).toBe(sorted);
  expect(canonicalText(sorted)).toBe(sorted);
  for (const other of ['{"a":1,"a":2}', '{"a":[1]}', '{"a": 1}', '{"a":1.50}', '{"a":"\\n"}', "{}", "[]"]) {
    expect(canonicalText(other), other).toBeNull();
  }
});
