import { expect, test } from "vitest";
import { testPlan, testStream } from "../../test/landing.ts";
import { readRightValue } from "./right-value.ts";

const plan = testPlan(
  testStream({
    type: "object",
    required: ["id"],
    properties: {
      id: { type: "integer" },
      stars: { type: ["integer", "null"], minimum: 1 },
      weight: { type: "number" },
      is_gift: { type: "boolean" },
      note: { type: ["string", "null"] },
    },
  }),
);

test.each([
  ["stars", "4", "4"],
  ["weight", "2.5", "2.5"],
  ["is_gift", "true", "true"],
  ["is_gift", "false", "false"],
  ["note", "", ""],
  ["note", "7", "7"],
  ["stars", null, null],
])("a right %s of %j is what its column would hold", (field, text, held) => {
  expect(readRightValue(plan, field, text)).toBe(held);
});

test.each([
  ["stars", ""],
  ["stars", " "],
  ["stars", "four"],
  ["stars", "0"],
  ["stars", "1.5"],
  ["weight", "Infinity"],
  ["is_gift", "yes"],
  ["is_gift", ""],
  ["id", null],
  ["colour", "red"],
])("a right %s of %j is refused, and the sentence does not hold it", (field, text) => {
  expect(() => readRightValue(plan, field, text)).toThrow(
    /^shop\.\S+: (?:the right value can't be|can't be empty|is no field)/,
  );
});
