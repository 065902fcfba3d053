import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteDictionary } from "./byte-dictionary.ts";

test("equal bytes have one number, whatever surrounds them, and come back in order of their bytes", () => {
  // Few distinct bytes and a common beginning, so that many entries are equal or differ late.
  const values = fc.array(fc.array(fc.constantFrom(0, 0x61, 0xff), { maxLength: 9 }), { maxLength: 300 });
  fc.assert(
    fc.property(values, fc.constantFrom("", "email_"), (lists, prefix) => {
      const dictionary = new ByteDictionary();
      const entries = lists.map((list) => Buffer.concat([Buffer.from(prefix), Buffer.from(list)]));
      const numbers = entries.map((bytes) =>
        dictionary.add(Buffer.concat([bytes, bytes]), bytes.length, 2 * bytes.length),
      );
      const distinct = [...new Set(entries.map((bytes) => bytes.toString("latin1")))];
      expect(numbers).toEqual(entries.map((bytes) => distinct.indexOf(bytes.toString("latin1"))));
      expect(dictionary.size).toBe(distinct.length);
      const sorted = Array.from(dictionary.sorted(prefix.length), (entry) =>
        dictionary.bytes(entry).toString("latin1"),
      );
      expect(sorted).toEqual(distinct.toSorted());
    }),
  );
});

test("a hundred thousand entries are all found, and what was never added is not", () => {
  const dictionary = new ByteDictionary();
  const bytes = (i: number) => Buffer.from(`token_${i}`);
  for (let i = 0; i < 100_000; i++) dictionary.add(bytes(i), 0, bytes(i).length);
  expect(dictionary.size).toBe(100_000);
  const found = Array.from({ length: 100_000 }, (_, i) => dictionary.find(bytes(i), 0, bytes(i).length));
  expect(found.every((entry, i) => entry === i)).toBe(true);
  expect(dictionary.find(bytes(100_000), 0, bytes(100_000).length)).toBe(-1);
});

test("what was said to come once is found when others come that may be the same", () => {
  const dictionary = new ByteDictionary();
  const bytes = (i: number) => Buffer.from(`token_${i}`);
  const addOnce = (i: number) => dictionary.addOnce(bytes(i), 0, bytes(i).length);
  for (let i = 0; i < 5_000; i++) addOnce(i);
  dictionary.index();
  expect(addOnce(4_999)).toBe(4_999);
  expect(addOnce(5_000)).toBe(5_000);
  expect(dictionary.add(bytes(5_000), 0, bytes(5_000).length)).toBe(5_000);
  expect(dictionary.size).toBe(5_001);
});
