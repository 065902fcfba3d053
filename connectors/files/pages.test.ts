import fc from "fast-check";
import { expect, test } from "vitest";
import type { Page, ReadStream } from "../connector.ts";
import type { Seal } from "./find.ts";
import { PageBuilder } from "./pages.ts";

const MEGABYTE = 1024 * 1024;
const seal = [1, 1] as unknown as Seal;
/** A row by its characters, which may be millions; below zero: one that is rejected. */
const row = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 2 * MEGABYTE, max: 5 * MEGABYTE }));
const files = fc.array(fc.array(row, { maxLength: 40 }), { minLength: 1, maxLength: 4 });

function pagesOf(of: number[][], key: string[] | null, sizes: { pageSize: number; sliceSize?: number }, skip: number) {
  const stream: ReadStream = { name: "s", key, cursor: null, schema: { type: "object", properties: {} } };
  const pages = new PageBuilder(stream, sizes, new Map(), undefined);
  let id = 0;
  for (const [index, rows] of of.entries()) {
    pages.beginFile(`${index}.csv`, seal, index === 0 && key !== null ? skip : 0);
    for (const [line, characters] of rows.entries()) {
      if (characters < 0) pages.reject("ragged_row", line, "x".repeat(-characters));
      else pages.record({ id: id++ }, characters);
    }
    pages.endFile();
  }
  if (key !== null) pages.close();
  return pages.take();
}

/** The slices of each page put together. */
function whole(slices: Page[]): Page[] {
  const pages: Page[] = [];
  let parts: Page[] = [];
  for (const slice of slices) {
    parts.push(slice);
    if (slice.goesOn) continue;
    const rejects = parts.flatMap((part) => part.rejects ?? []);
    const records = { s: parts.flatMap((part) => part.records["s"] ?? []) };
    pages.push({ ...slice, records, ...(rejects.length > 0 && { rejects }) });
    parts = [];
  }
  expect(parts).toEqual([]);
  return pages;
}

test("slices are the pages that there are without: the same rows, ends and cursors, and none is longer than asked", () => {
  const sizes = fc.record({ pageSize: fc.integer({ min: 1, max: 30 }), sliceSize: fc.integer({ min: 1, max: 12 }) });
  fc.assert(
    fc.property(
      files,
      fc.constantFrom<string[] | null>(null, ["id"]),
      sizes,
      fc.nat(10),
      (of, key, { pageSize, sliceSize }, skip) => {
        const slices = pagesOf(of, key, { pageSize, sliceSize }, skip);
        expect(whole(slices)).toEqual(pagesOf(of, key, { pageSize }, skip));
        for (const { records, rejects = [] } of slices) {
          expect(records["s"]!.length + rejects.length).toBeLessThanOrEqual(sliceSize);
        }
      },
    ),
  );
});

test("a page ends at about 8 MB of text, whatever its fields are and in however many slices it comes", () => {
  const rows = [Array.from({ length: 600 }, () => MEGABYTE / 4)];
  const slices = pagesOf(rows, ["id"], { pageSize: 2_500, sliceSize: 10 }, 0);
  expect(new Set(whole(slices).map(({ records }) => records["s"]!.length))).toEqual(new Set([32, 24]));
});
