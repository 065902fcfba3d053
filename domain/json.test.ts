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

test("a field named __proto__ is a field", () => {
  const value = parseJson('{"__proto__": {"x": 9007199254740993}}') as object;
  expect(Object.keys(value)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
});
