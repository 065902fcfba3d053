import fc from "fast-check";
import { expect, test } from "vitest";
import type { SourceRecord } from "../connector.ts";
import { Rejected } from "../errors.ts";
import { Columns } from "./columns.ts";
import { DelimitedParser, type Dialect } from "./parser.ts";

const RFC: Dialect = { delimiter: ",", quote: '"' };

/** What the parser makes of text that arrives in these chunks. */
function parse(chunks: string[], dialect = RFC, columns?: string[]) {
  const records: SourceRecord[] = [];
  const rejects: [reason: string, line: number, raw: string][] = [];
  const sink = {
    record: (record: SourceRecord) => void records.push(record),
    reject: (reason: string, line: number, raw: string) => void rejects.push([reason, line, raw]),
  };
  const header = { isPresent: columns === undefined, columns };
  const parser = new DelimitedParser(dialect, new Columns(header, "a.csv", null, sink), sink, "a.csv");
  for (const chunk of chunks) parser.push(chunk);
  parser.end();
  return { records, rejects };
}

/** Pieces that a parser can trip over. */
const piece = fc.oneof(
  fc.constantFrom(
    '"',
    '""',
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\0",
    "\\",
    "'",
    "a",
    "é",
    "😀",
    "\uFEFF",
    "__proto__",
  ),
  fc.string({ unit: "grapheme" }),
);
const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
const dialect = fc.constantFrom<Dialect>(RFC, { delimiter: "\t", quote: '"' }, { delimiter: ";", quote: "'" });

test("any records, written as RFC 4180 asks, come back as they were, in chunks of any size", () => {
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) => fc.array(fc.array(text, { minLength: width, maxLength: width }), { maxLength: 6 }));
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  const lineEnd = fc.constantFrom("\n", "\r\n", "\r");
  fc.assert(
    fc.property(
      table,
      dialect,
      lineEnd,
      sizes,
      fc.boolean(),
      fc.boolean(),
      (rows, form, end, chunks, isEnded, isBare) => {
        const names = (rows[0] ?? ["x"]).map((_, index) => `column ${index}`);
        const write = (value: string) =>
          // A single empty field is a blank line, and a field may be left bare where nothing in it could mislead.
          isBare && value !== "" && !["\n", "\r", form.quote, form.delimiter].some((special) => value.includes(special))
            ? value
            : `${form.quote}${value.replaceAll(form.quote, form.quote + form.quote)}${form.quote}`;
        const lines = [names, ...rows].map((row) => row.map(write).join(form.delimiter));
        const { records, rejects } = parse(split(lines.join(end) + (isEnded ? end : ""), chunks), form);
        expect(rejects).toEqual([]);
        expect(records).toEqual(
          rows.map((row) => Object.fromEntries(row.map((value, index) => [names[index], value]))),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test("any text at all gives the same rows, rejects or error, wherever its chunks end", () => {
  const outcome = (chunks: string[]) => {
    try {
      return parse(chunks, RFC, ["a", "b"]);
    } catch (error) {
      return (error as Rejected).message;
    }
  };
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (pieces, sizes) => {
      const whole = pieces.join("");
      expect(outcome(split(whole, sizes))).toEqual(outcome([whole]));
    }),
    { numRuns: 1000 },
  );
});

test("line ends may be mixed, blank lines are passed over, and lines are counted through quoted line ends", () => {
  const { records, rejects } = parse(['a,b\r1,2\n\r\n3,"x\r\ny\rz"\r\n\n4\n5,6']);
  expect(records).toEqual([
    { a: "1", b: "2" },
    { a: "3", b: "x\r\ny\rz" },
    { a: "5", b: "6" },
  ]);
  expect(rejects).toEqual([["ragged_row", 8, "4"]]);
});

test("a quote within an unquoted field is part of it", () => {
  expect(parse([`a,b\n37°36'37.8"N,x"y"\n`]).records).toEqual([{ a: `37°36'37.8"N`, b: 'x"y"' }]);
});

test("a quoted field that goes on after its quote rejects its row with the raw text, and the next row is read", () => {
  const { records, rejects } = parse(['a,b\n"one" more,2\n3,"line\nend"x,"y"\n5,6\n']);
  expect(records).toEqual([{ a: "5", b: "6" }]);
  expect(rejects).toEqual([
    ["bad_quotes", 2, '"one" more,2'],
    ["bad_quotes", 3, '3,"line\nend"x,"y"'],
  ]);
});

test("without a quote character, quotes are data", () => {
  expect(parse(['a\tb\n"1\t2"\n'], { delimiter: "\t", quote: "" }).records).toEqual([{ a: '"1', b: '2"' }]);
});

test("columns without a name, or with one that was there before, get one of their own", () => {
  const { records } = parse(["a, a ,,a_2,a,__proto__,\n1,2,3,4,5,6,7\n"]);
  expect(Object.entries(records[0] ?? {})).toEqual([
    ["a", "1"],
    ["a_3", "2"],
    ["column_3", "3"],
    ["a_2", "4"],
    ["a_4", "5"],
    ["__proto__", "6"],
    ["column_7", "7"],
  ]);
});

test("an empty text and a header alone have no records", () => {
  expect(parse([]).records).toEqual([]);
  expect(parse([""]).records).toEqual([]);
  expect(parse(["a,b\r\n"]).records).toEqual([]);
});

test("a megabyte in one field comes through, in time that grows with its length", () => {
  const long = 'x,"\n'.repeat(500_000);
  const chunks = split(`a,b\n1,"${long.replaceAll('"', '""')}"\n`, [1000]);
  expect(parse(chunks).records).toEqual([{ a: "1", b: long }]);
});

test("a row longer than 10 MB is an error that names its line", () => {
  const chunks = ["a,b\n1,2\n", '"', ...Array.from({ length: 24 }, () => "x".repeat(1024 * 1024))];
  expect(() => parse(chunks)).toThrow(/^a\.csv line 3: the row that begins here is longer than 10 MB/);
  expect(() => parse(["a\n", "x".repeat(11 * 1024 * 1024), "\n"])).toThrow(Rejected);
});

/** The text cut into pieces of these sizes, over and over. */
function split(whole: string, sizes: number[]): string[] {
  const chunks: string[] = [];
  for (let at = 0, index = 0; at < whole.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(whole.slice(at, at + size));
    at += size;
  }
  return chunks;
}
