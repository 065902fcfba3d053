import { PassThrough, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { readXlsx } from "hucre/xlsx";
import { describe, expect, it } from "vitest";
import { writeSpreadsheet, type ExportedColumn } from "./spreadsheet.ts";

const column = (name: string, kind: string, comment = ""): ExportedColumn => ({ name, type: kind, kind, comment });

async function* batchesOf(rows: (string | null)[][], size = 3): AsyncGenerator<(string | null)[][]> {
  for (let start = 0; start < rows.length; start += size) yield rows.slice(start, start + size);
}

/** The workbook as another library reads it. */
async function written(columns: ExportedColumn[], rows: (string | null)[][], mostRows?: number) {
  const out = new PassThrough();
  const bytes = buffer(out);
  await writeSpreadsheet({ name: "mart.fct_things", columns, batches: batchesOf(rows) }, out, mostRows);
  out.end();
  return (await readXlsx(new Uint8Array(await bytes))).sheets;
}

async function cellOf(kind: string, text: string | null): Promise<unknown> {
  const [sheet] = await written([column("before", "text"), column("value", kind)], [["x", text]]);
  return sheet!.rows[1]?.[1] ?? null;
}

describe("a spreadsheet", () => {
  it.each([
    ["int4", "-42", -42],
    ["int8", "123456789012345", 123456789012345],
    ["int8", "9007199254740993", "9007199254740993"],
    ["int8", "1234567890123456", "1234567890123456"],
    ["int8", "9000000000000000000", 9e18],
    ["numeric", "1234567.89", 1234567.89],
    ["numeric", "10.00", 10],
    ["numeric", "0.000000000000000012345", 1.2345e-17],
    ["numeric", "0.1234567890123456", "0.1234567890123456"],
    ["numeric", "-0.10", -0.1],
    ["numeric", "NaN", "NaN"],
    ["numeric", `1${"0".repeat(400)}`, `1${"0".repeat(400)}`],
    ["float8", "0.30000000000000004", 0.30000000000000004],
    ["float8", "-Infinity", "-Infinity"],
    ["float8", "1e-300", 1e-300],
    ["bool", "true", true],
    ["bool", "false", false],
    ["text", "=1+1", "=1+1"],
    ["text", "00123", "00123"],
    ["text", " a\r\n\tb ", " a\r\n\tb "],
    ["text", "<script>&\"'</script>", "<script>&\"'</script>"],
    ["text", "_x0041_ and \u0001", "_x0041_ and \u0001"],
    ["text", "🦊 ʼn \ufffe", "🦊 ʼn \ufffe"],
    ["jsonb", '{"a": 1}', '{"a": 1}'],
    ["uuid", "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"],
    ["date", "infinity", "infinity"],
    ["date", "1899-12-31", "1899-12-31"],
    ["date", "10000-01-01", "10000-01-01"],
    ["date", "0044-03-15 BC", "0044-03-15 BC"],
    ["text", null, null],
  ])("holds a %s of %j as %j", async (kind, text, value) => {
    expect(await cellOf(kind, text)).toEqual(value);
  });

  it.each([
    ["date", "1900-03-01", "1900-03-01T00:00:00.000Z"],
    ["date", "2024-02-29", "2024-02-29T00:00:00.000Z"],
    ["timestamptz", "2026-10-25 23:59:59.999+00", "2026-10-25T23:59:59.999Z"],
    ["timestamptz", "2026-01-01 00:00:00+00", "2026-01-01T00:00:00.000Z"],
    ["timestamp", "9999-12-31 12:30:00.5", "9999-12-31T12:30:00.500Z"],
  ])("holds a %s of %s as an instant", async (kind, text, instant) => {
    const value = await cellOf(kind, text);
    expect(value).toBeInstanceOf(Date);
    expect(Math.abs((value as Date).getTime() - Date.parse(instant))).toBeLessThanOrEqual(1);
  });

  it("explains its columns on a second sheet", async () => {
    const sheets = await written(
      [
        column("order_id", "uuid", "the order: its record_key"),
        { ...column("amount", "numeric"), type: "numeric(12,2)" },
      ],
      [["a", "1.50"]],
    );
    expect(sheets.map(({ name }) => name)).toEqual(["fct_things", "Columns"]);
    expect(sheets[0]!.rows).toEqual([
      ["order_id", "amount"],
      ["a", 1.5],
    ]);
    expect(sheets[1]!.rows.map((row) => row.map((cell) => cell ?? ""))).toEqual([
      ["column", "type", "comment"],
      ["order_id", "uuid", "the order: its record_key"],
      ["amount", "numeric(12,2)", ""],
    ]);
  });

  it("goes on in a further sheet where a sheet is full, and makes no empty one", async () => {
    const rows = (count: number) => Array.from({ length: count }, (_, index) => [String(index)]);
    const sizes = async (count: number) =>
      (await written([column("n", "int4")], rows(count), 5)).map(({ name, rows: written }) => [name, written.length]);
    expect(await sizes(0)).toEqual([
      ["fct_things", 1],
      ["Columns", 2],
    ]);
    expect(await sizes(8)).toEqual([
      ["fct_things", 5],
      ["fct_things (2)", 5],
      ["Columns", 2],
    ]);
    expect(await sizes(9)).toEqual([
      ["fct_things", 5],
      ["fct_things (2)", 5],
      ["fct_things (3)", 2],
      ["Columns", 2],
    ]);
    const all = (await written([column("n", "int4")], rows(23), 5)).filter(({ name }) => name !== "Columns");
    expect(all.flatMap(({ rows: written }) => written.slice(1).map(([n]) => n))).toEqual(
      rows(23).map(([n]) => Number(n)),
    );
  });

  it("brings any text back", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !value.includes("\0"));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 20 }), async (rows) => {
        const [sheet] = await written([column("a", "text"), column("b", "text")], rows);
        expect(sheet!.rows.slice(1).map((row) => [row[0] ?? "", row[1] ?? ""])).toEqual(rows);
      }),
      { numRuns: 40 },
    );
  });

  it("says which column has a text that no cell can hold", async () => {
    await expect(written([column("note", "text")], [["x".repeat(32_768)]])).rejects.toThrow(
      /^mart\.fct_things\.note: has a text of more than 32,767 characters/,
    );
  });

  it("ends with what made the rows fail", async () => {
    async function* failing(): AsyncGenerator<(string | null)[][]> {
      yield [["1"]];
      throw new Error("connection lost");
    }
    const relation = { name: "mart.x", columns: [column("n", "int4")], batches: failing() };
    await expect(writeSpreadsheet(relation, new PassThrough().resume())).rejects.toThrow("connection lost");
  });

  it("waits for a slow reader instead of holding rows back", async () => {
    let made = 0;
    async function* endless(): AsyncGenerator<(string | null)[][]> {
      for (;;) {
        made += 1;
        yield Array.from({ length: 100 }, (_, index) => [`${made} ${index} ${Math.random()}`]);
      }
    }
    const stuck = new Writable({ write: () => undefined });
    const relation = { name: "mart.x", columns: [column("t", "text")], batches: endless() };
    const writing = writeSpreadsheet(relation, stuck).catch(() => undefined);
    // Until the buffers on the way are full, then no more.
    let before = -1;
    while (made !== before) {
      before = made;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(made).toBeLessThan(500);
    stuck.destroy();
    await writing;
  });
});
