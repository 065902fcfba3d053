import fc from "fast-check";
import { expect, test } from "vitest";
import { gather, type SliceSize } from "./gather.ts";

const MOST = 8 * 1024 * 1024;
const isFull = (page: SliceSize[], pageSize: number): boolean =>
  page.reduce((sum, { records }) => sum + records, 0) >= pageSize ||
  page.reduce((sum, { characters }) => sum + characters, 0) >= MOST;

async function* each(slices: SliceSize[]): AsyncGenerator<SliceSize> {
  for (const slice of slices) yield await Promise.resolve(slice);
}

test("slices come in pages, none lost and in their order; a page ends with the slice that fills it, by records or by text", async () => {
  const slice = fc.record({ records: fc.nat(400), characters: fc.oneof(fc.nat(1_000), fc.nat(2 * MOST)) });
  await fc.assert(
    fc.asyncProperty(fc.array(slice), fc.integer({ min: 1, max: 2_500 }), async (slices, pageSize) => {
      const pages: SliceSize[][] = [];
      for await (const page of gather(each(slices), pageSize, (size) => size)) pages.push(page);
      expect(pages.flat()).toEqual(slices);
      for (const [index, page] of pages.entries()) {
        expect(isFull(page.slice(0, -1), pageSize)).toBe(false);
        expect(page.length > 0 && (index === pages.length - 1 || isFull(page, pageSize))).toBe(true);
      }
    }),
  );
});
