import fc from "fast-check";
import iconv from "iconv-lite";
import { expect, test } from "vitest";
import { createDecoder } from "./decode.ts";

const text = fc.array(fc.constantFrom("a", "é", "€", "😀", "\n", "\0", "\uFFFD", "한")).map((all) => all.join(""));
const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1 });

function* chunksOf(bytes: Buffer, lengths: number[]): Generator<Buffer> {
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const length = lengths[index % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function decode(bytes: Buffer, encoding: string | undefined, lengths: number[]): string {
  const decoder = createDecoder(encoding, bytes.subarray(0, 3), "a.csv");
  let decoded = "";
  for (const chunk of chunksOf(bytes, lengths)) decoded += decoder.decode(chunk);
  return decoded + decoder.end();
}

test.each(["utf-8", "UTF8", "utf-16le", "utf-16be", "utf-32le"])("%s is the same in chunks of any size", (encoding) => {
  fc.assert(
    fc.property(text, sizes, fc.boolean(), (whole, lengths, addBOM) => {
      const bytes = iconv.encode(whole, encoding, { addBOM });
      expect(decode(bytes, encoding, lengths)).toBe(whole);
    }),
  );
});

test("the first byte that is not UTF-8 is named, with its line, wherever chunks end", () => {
  // A byte that begins nothing, one that only goes on, an overlong form, half of a surrogate pair, a cut character.
  const bad = fc.constantFrom([0xff], [0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]);
  fc.assert(
    fc.property(text, bad, text, sizes, (before, bytes, after, lengths) => {
      const good = Buffer.from(before);
      const all = Buffer.concat([good, Buffer.from(bytes), Buffer.from(`\n${after}`)]);
      const line = before.split("\n").length;
      expect(() => decode(all, undefined, lengths)).toThrow(
        `a.csv line ${line}: byte ${good.length + 1} is not UTF-8; set "encoding" in the config, such as windows-1252`,
      );
    }),
    { numRuns: 500 },
  );
});
