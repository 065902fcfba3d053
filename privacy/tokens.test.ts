import { expect, test } from "vitest";
import { Naming } from "./tokens.ts";

const master = (byte: number): Buffer => Buffer.alloc(32, byte);
const keys = { record: master(1), content: master(2), token: master(3), suppression: master(4), pseudonym: master(5) };
const naming = new Naming(keys);
const digits = (token: string): string => token.slice(-32);

test("a token shows its kind, has 128 bits, and is another for each kind and each key", () => {
  expect(naming.token("email", "a")).toMatch(/^email_[0-9a-f]{32}$/);
  expect(naming.token("email", "a")).toBe(new Naming(keys).token("email", "a"));
  expect(digits(naming.token("email", "a"))).not.toBe(digits(naming.token("phone", "a")));
  expect(new Naming({ ...keys, token: master(6) }).token("email", "a")).not.toBe(naming.token("email", "a"));
});

test("one value is known by another name in tokens, in suppression and at each destination, whatever the keys", () => {
  const same = new Naming({
    record: master(1),
    content: master(1),
    token: master(1),
    suppression: master(1),
    pseudonym: master(1),
  });
  const names = [
    digits(same.token("email", "a")),
    same.suppression("email", "a").toString("hex"),
    same.pseudonym("email", "a"),
    same.pseudonym("ads", "a"),
  ];
  expect(new Set(names).size).toBe(4);
  for (const name of names) expect(name).toMatch(/^[0-9a-f]{32}$/);
  // Retiring the token key leaves the list of the erased as it is.
  expect(new Naming({ ...keys, token: master(6) }).suppression("email", "a")).toEqual(naming.suppression("email", "a"));
});

test("the key of a record tells the parts of a key apart", () => {
  expect(naming.recordKey("shop", "lines", ["ab", "c"])).not.toBe(naming.recordKey("shop", "lines", ["a", "bc"]));
  expect(naming.recordKey("shop", "lines", ["1"])).toBe(naming.recordKey("shop", "lines", ["1"]));
});
