import { expect, test } from "vitest";
import { DecimalText } from "../domain/decimal.ts";
import { inferStream } from "./infer-schema.ts";

/** The schema of one field of text, by its values. */
function ofText(field: string, ...values: string[]) {
  const records = values.map((value) => ({ [field]: value }));
  return inferStream("rows", records, "text")?.schema.properties[field];
}

test.each([
  ["quantity", ["1", "-20", "0"], { type: "integer" }],
  ["big", ["999999999999999999"], { type: "integer" }],
  ["too_big", ["99999999999999999999"], { type: "number" }],
  ["code", ["007", "12"], { type: "string" }],
  ["plus", ["+33", "+44"], { type: "string" }],
  ["amount", ["29.33", "7", "100.5"], { type: "number", decimal: [14, 2] }],
  ["rate", ["1.0835", "0.9120"], { type: "number", decimal: [14, 4] }],
  ["measure", ["0.123456", "1.5"], { type: "number" }],
  ["science", ["1e5", "2.5E-3"], { type: "number" }],
  ["flag", ["true", "False"], { type: "boolean" }],
  ["digit", ["0", "1"], { type: "integer" }],
  ["day", ["2024-02-29", "0001-01-01"], { type: "string", format: "date" }],
  ["no_day", ["2023-02-29"], { type: "string" }],
  ["order_date", ["19970101", "19971231"], { type: "string", format: "date" }],
  ["number", ["19970101"], { type: "integer" }],
  ["at", ["2024-02-29T12:00:00Z", "2024-02-29 12:00:00.5+02", "2024-02-29"], { type: "string", format: "date-time" }],
  ["token", ["f73d0939-1304-410a-bfda-4bedc338e57c"], { type: "string", format: "uuid" }],
  ["properties", ['{"a": 1}', "{}"], { type: "object" }],
  ["list", ["[1]", "[]"], { type: "array" }],
  ["no_json", ["{a}", "[1"], { type: "string" }],
  ["gaps", ["1", ""], { type: ["integer", "null"] }],
  ["empty", ["", ""], { type: ["string", "null"] }],
])("the values of %s in text", (field, values, expected) => {
  expect(ofText(field, ...values)).toEqual(expected);
});

test("codes of people stay text, whatever the sample has", () => {
  expect(ofText("phone", "33612345678", "442071234567")).toMatchObject({ type: "string", personal: "phone" });
  expect(ofText("zip", "94107", "10115")).toMatchObject({ type: "string", personal: "postal_code" });
});

test("JSON has its types, and what is sometimes missing or null may be empty", () => {
  const records = [
    { id: 1, n: 1, mixed: 1, day: "2024-02-29", tags: [], o: {}, b: true, long: new DecimalText("9007199254740993") },
    { id: 2, n: 1.25, mixed: "x", day: "2024-03-01", tags: ["a"], o: null, b: false, long: 5, rare: "" },
  ];
  expect(inferStream("events", records, "json")).toEqual({
    name: "events",
    key: ["id"],
    cursor: null,
    schema: {
      type: "object",
      required: ["id", "n", "mixed", "day", "tags", "o", "b", "long"],
      properties: {
        id: { type: "integer" },
        n: { type: "number", decimal: [14, 2] },
        mixed: { type: ["integer", "string"] },
        day: { type: "string", format: "date" },
        tags: { type: "array" },
        o: { type: ["object", "null"] },
        b: { type: "boolean" },
        long: { type: "integer" },
        rare: { type: ["string", "null"] },
      },
    },
  });
});

test("the key is id, else the first …_id, and only where it never repeats and is never empty", () => {
  const key = (...records: Record<string, string>[]) => inferStream("rows", records, "text")?.key;
  expect(key({ shop_id: "1", id: "1" }, { shop_id: "2", id: "2" })).toEqual(["id"]);
  expect(key({ shop_id: "1", orderId: "1" }, { shop_id: "1", orderId: "2" })).toEqual(["orderId"]);
  expect(key({ id: "1" }, { id: "1" })).toBeNull();
  expect(key({ id: "1" }, { id: "" })).toBeNull();
  expect(key({ amount: "1" }, { amount: "2" })).toBeNull();
});

test("a field named __proto__ is proposed like any other", () => {
  const record = JSON.parse('{"__proto__": "x"}') as Record<string, unknown>;
  expect(Object.keys(inferStream("rows", [record], "json")?.schema.properties ?? {})).toEqual(["__proto__"]);
});
