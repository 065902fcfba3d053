import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Mac } from "./mac.ts";

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 5_400, maxLength: 20_000 }),
  fc.constant("\ud800"),
);

test("is HMAC-SHA256, cut to 128 bits, of any text under any key, whatever came before", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(text, { minLength: 1, maxLength: 4 }), (bytes, texts) => {
      const mac = new Mac(Buffer.from(bytes));
      for (const each of texts) {
        expect(mac.hex(each)).toBe(createHmac("sha256", bytes).update(each).digest("hex").slice(0, 32));
      }
    }),
  );
});
