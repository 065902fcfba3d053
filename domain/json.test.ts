import fc from "fast-check";
import { expect, test } from "vitest";
import { DecimalText } from "./decimal.ts";
import { parseJson } from "./json.ts";

test("any JSON value comes back as it was", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(JSON.stringify(parseJson(text))).toBe(text);
    }),
  );
});

test("numbers that a double can't hold keep every digit", () => {
  expect(parseJson('[9007199254740993, 0.1234567890123456789, 1e400, {"a": 12345678901234567890.5}]')).toEqual([
    new DecimalText("9007199254740993"),
    new DecimalText("0.1234567890123456789"),
    new DecimalText("1e400"),
    { a: new DecimalText("12345678901234567890.5") },
  ]);
});

test("numbers that a double holds stay numbers, and digits in strings stay strings", () => {
  expect(parseJson('[1.50e3, 100000000000000000000, "9007199254740993", "say \\"1e5\\""]')).toEqual([
    1500,
    100000000000000000000,
    "9007199254740993",
    'say "1e5"',
  ]);
});

test("strings with any escapes stand beside long numbers as they were", () => {
  const string = fc
    .array(fc.constantFrom("\\", '"', "7", "e5", "\n", "😀", ":12345678901234567890"))
    .map((all) => all.join(""));
  fc.assert(
    fc.property(fc.array(string), (strings) => {
      const text = JSON.stringify(strings.flatMap((each) => [each, 0])).replaceAll(",0", ",12345678901234567890");
      const value = strings.flatMap((each) => [each, new DecimalText("12345678901234567890")]);
      expect(parseJson(text)).toEqual(value);
    }),
  );
});

test("a string of many megabytes beside a long number is no trouble", () => {
  const long = 'x\\"'.repeat(4_000_000);
  expect(parseJson(`{"a": "${long}", "b":-9007199254740993}`)).toEqual({
    a: 'x"'.repeat(4_000_000),
    b: new DecimalText("-9007199254740993"),
  });
});

test("a field named __proto__ is a field", () => {
  const value = parseJson('{"__proto__": {"x": 9007199254740993}}') as object;
  expect(Object.keys(value)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
});
