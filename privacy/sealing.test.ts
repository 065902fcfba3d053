import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { open, seal } from "./sealing.ts";

const key = randomBytes(32);

test("whatever is sealed comes back, under the same key and for the same row", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.string(), (bytes, identity) => {
      expect(open(key, identity, seal(key, identity, Buffer.from(bytes)))).toEqual(Buffer.from(bytes));
    }),
  );
  expect(open(key, "row", seal(key, "row", "Zoë 🦊")).toString("utf8")).toBe("Zoë 🦊");
});

test("moved to another row, under another key, or altered by one bit, it does not open", () => {
  const sealed = seal(key, "raw.shop__customers:1", "secret");
  expect(() => open(key, "raw.shop__customers:2", sealed)).toThrow("does not open");
  expect(() => open(randomBytes(32), "raw.shop__customers:1", sealed)).toThrow("does not open");
  for (let byte = 1; byte < sealed.length; byte += 1) {
    const altered = Buffer.from(sealed);
    altered[byte] = (altered[byte] as number) ^ 1;
    expect(() => open(key, "raw.shop__customers:1", altered)).toThrow("does not open");
  }
});

test("the same text sealed twice looks different, also far past the pool of nonces", () => {
  const seen = new Set(Array.from({ length: 2000 }, () => seal(key, "row", "secret").toString("hex")));
  expect(seen.size).toBe(2000);
});
