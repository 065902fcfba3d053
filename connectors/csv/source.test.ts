import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import iconv from "iconv-lite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Json } from "../../domain/streams.ts";
import type { Page, ReadStream, SourceRecord } from "../connector.ts";
import { InvalidConfig, Rejected } from "../errors.ts";
import { csv } from "./source.ts";
import type { CsvConfig } from "./spec.ts";

const keyed: ReadStream = { name: "rows", key: ["id"], cursor: null, schema: { type: "object", properties: {} } };
const keyless: ReadStream = { ...keyed, key: null };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-csv-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function read(
  config: CsvConfig,
  {
    stream = keyless,
    cursor = null,
    pageSize = 1000,
    from = directory,
  }: { stream?: ReadStream; cursor?: Json; pageSize?: number; from?: string } = {},
): Promise<{ records: SourceRecord[]; rejects: string[]; pages: Page[] }> {
  const pages: Page[] = [];
  const options = { directory: from, pageSize, signal: new AbortController().signal };
  for await (const page of csv.read(config, [stream], cursor, options)) pages.push(page);
  return {
    pages,
    records: pages.flatMap((page) => page.records["rows"] ?? []),
    rejects: pages.flatMap((page) => page.rejects ?? []).map(({ reason, pointer }) => `${reason} ${pointer}`),
  };
}

test("any records in any files, with any page size, come whole and go on from any page", async () => {
  const value = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("", "\r\n", '"', ",", "\0", "é"));
  const file = fc.record({ rows: fc.array(value, { maxLength: 5 }), isPacked: fc.boolean() });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(file, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      async (files, pageSize, hasKey) => {
        const name = `any-${(run += 1)}`;
        let id = 0;
        const expected: SourceRecord[] = [];
        for (const [index, { rows, isPacked }] of files.entries()) {
          const records = rows.map((text) => ({ id: String((id += 1)), text }));
          expected.push(...records);
          const lines = records.map((record) => `${record.id},"${record.text.replaceAll('"', '""')}"\n`);
          const content = `id,text\n${lines.join("")}`;
          await writeFile(join(directory, `${name}-${index}.csv`), isPacked ? gzipSync(content) : content);
        }
        const config = { path: `${name}-*.csv` };
        const stream = hasKey ? keyed : keyless;
        const { pages, records } = await read(config, { stream, pageSize });
        expect(records).toEqual(expected);
        for (const [index, { cursor }] of pages.entries()) {
          const rest = await read(config, { stream, pageSize: 2, cursor });
          const before = pages.slice(0, index + 1);
          // A keyless file that is not read to its end comes again whole.
          const kept = hasKey ? before : before.filter(({ part }) => Object.hasOwn(filesOf(cursor), part ?? ""));
          expect([...kept.flatMap((page) => page.records["rows"] ?? []), ...rest.records]).toEqual(expected);
        }
      },
    ),
    { numRuns: 40 },
  );
});

function filesOf(cursor: Json): object {
  return (cursor as { files: object }).files;
}

describe.each([
  ["latin1", "Zoë, crème"],
  ["windows-1252", "€ 5 – “quoted”"],
  ["utf-16le", "Ωμέγα 😀"],
  ["utf-16be", "Ωμέγα 😀"],
  ["shift_jis", "日本語テスト"],
  ["gb18030", "汉字"],
])("a file in %s", (encoding, text) => {
  const path = `encoded-${encoding}.csv`;

  test("is read as the config says", async () => {
    await writeFile(join(directory, path), iconv.encode(`id,text\n1,"${text}"\n`, encoding));
    expect((await read({ path, encoding })).records).toEqual([{ id: "1", text }]);
  });
});

test("a byte order mark tells UTF-16 where the config names no encoding", async () => {
  await writeFile(join(directory, "marked.csv"), iconv.encode("id,text\n1,Ω\n", "utf-16", { addBOM: true }));
  expect((await read({ path: "marked.csv" })).records).toEqual([{ id: "1", text: "Ω" }]);
});

test.each([
  ["half a character at the end", "utf-16le", iconv.encode("id\n1\n", "utf-16le").subarray(0, 9), /line 2/],
  ["a byte that windows-1252 has not", "windows-1252", Buffer.from("id\n1\n\x81\n", "latin1"), /line 3/],
  ["half a character of shift_jis", "shift_jis", Buffer.from([0x69, 0x64, 0x0a, 0x93]), /line 2/],
  ["a byte above ASCII", "ascii", Buffer.from("id\n\xe9\n", "latin1"), /line 2/],
  ["half a character of UTF-8", "utf-8", Buffer.from("id\n1\né\n").subarray(0, 6), /line 3: byte 6 is/],
])("%s is an error with its line, and no U+FFFD", async (title, encoding, bytes, place) => {
  const path = `bad ${title}.csv`;
  await writeFile(join(directory, path), bytes);
  const error = await read({ path, encoding }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Rejected);
  expect((error as Error).message).toMatch(place);
  expect((error as Error).message).toMatch(/"encoding"/);
});

test("a U+FFFD that the file itself holds is a value", async () => {
  await writeFile(join(directory, "replaced.csv"), "id,text\n1,37\uFFFD36'\n");
  expect((await read({ path: "replaced.csv" })).records).toEqual([{ id: "1", text: "37\uFFFD36'" }]);
});

test("columns of the config count more than the header, which is read past only where the config says that it is there", async () => {
  await writeFile(join(directory, "named.csv"), "a,b\n1,2\n");
  expect((await read({ path: "named.csv", columns: ["x", "y"], header: true })).records).toEqual([{ x: "1", y: "2" }]);
  expect((await read({ path: "named.csv", columns: ["x", "y"] })).records).toHaveLength(2);
  expect((await read({ path: "named.csv", header: false })).records[0]).toEqual({ column_1: "a", column_2: "b" });
});

test("what contradicts itself in a config is told", async () => {
  await writeFile(join(directory, "named.csv"), "a,b\n1,2\n");
  for (const config of [
    { path: "named.csv", delimiter: '"' },
    { path: "named.csv", format: "whitespace" as const, delimiter: ";" },
  ]) {
    await expect(read(config)).rejects.toBeInstanceOf(InvalidConfig);
  }
});

test("personal labels, types and the key are proposed from what the files hold", async () => {
  const rows = Array.from({ length: 30 }, (_, index) =>
    [
      index + 1,
      `p${index}@example.org`,
      `+33 6 12 34 56 ${10 + index}`,
      `0${1000 + index}`,
      index % 2 === 0,
      index % 3 ? "" : "9.90",
    ].join(),
  );
  await writeFile(join(directory, "people.csv"), ["Id,contact,mobile,zip,active,spent", ...rows].join("\n"));
  const [stream] = await csv.discover({ path: "people.csv" }, { directory, signal: new AbortController().signal });
  expect(stream).toMatchObject({ name: "people", key: ["Id"], cursor: null });
  expect(stream?.schema.properties).toMatchObject({
    Id: { type: "integer", personal: "account_id", identifier: "customer_id" },
    contact: { type: "string", personal: "email", identifier: "email" },
    mobile: { type: "string", personal: "phone", identifier: "phone" },
    zip: { type: "string", personal: "postal_code" },
    active: { type: "boolean" },
    spent: { type: ["number", "null"], decimal: [14, 2] },
  });
});

const data = resolve(process.env["MIETTE_SHARED_DATA"] ?? "../shared/data");
const dirty = join(data, "csv_dirty");
const filesIn = (folder: string) =>
  existsSync(dirty) ? readdirSync(join(dirty, folder)).filter((name) => name.endsWith(".csv")) : [];

describe.skipIf(!existsSync(dirty))("the acid tests of csv_dirty (in ../shared/data)", () => {
  // The twin of location_coordinates has another phone number than its CSV, and is no list.
  test.each(filesIn("csv_spectrum").filter((name) => name !== "location_coordinates.csv"))(
    "%s equals its JSON twin",
    async (name) => {
      const twin = await readFile(join(dirty, "csv_spectrum", name.replace(".csv", ".json")), "utf8");
      const { records, rejects } = await read({ path: `csv_spectrum/${name}` }, { from: dirty });
      expect(records).toEqual(JSON.parse(twin));
      expect(rejects).toEqual([]);
    },
  );

  test("location_coordinates.csv has quotes in fields without quotes", async () => {
    const { records } = await read({ path: "csv_spectrum/location_coordinates.csv" }, { from: dirty });
    expect(records).toMatchObject([{ "Location Coordinates": expect.stringMatching(/^37.+37\.8"N 121.+17\.9"W$/) }]);
  });

  test.each<[string, string, number, string[]]>([
    ["auto/multi_column_string_mix_r_n.csv", "|", 8, []],
    ["auto/normalize_names_6.csv", ",", 2, []],
    ["auto/duplicate_header_columns.csv", ",", 2, []],
    ["auto/utf8bom.csv", ",", 2, []],
    ["auto/varchar_multi_line.csv", ",", 1, []],
    ["headers/all_varchar.csv", ",", 1, []],
    ["headers/borked_type.csv", ",", 2, []],
    ["headers/empty_1.csv", ",", 2, []],
    ["headers/empty_2.csv", ",", 2, []],
    ["headers/empty_3.csv", ",", 2, []],
    ["headers/empty_4.csv", ",", 2, []],
    ["headers/escaped_quote.csv", ",", 2, []],
    ["headers/integer.csv", ",", 0, []],
    ["headers/single_line.csv", ",", 0, []],
    ["headers/undetected_type.csv", ",", 0, ["ragged_row line 2 of duckdb/headers/undetected_type.csv"]],
    ["headers/unescaped_quote.csv", ",", 2, []],
  ])("DuckDB's %s", async (name, delimiter, count, rejected) => {
    const path = `duckdb/${name}`;
    const { records, rejects } = await read({ path, delimiter, header: true }, { from: dirty });
    expect(records).toHaveLength(count);
    expect(rejects).toEqual(rejected);
  });

  test("every file of DuckDB's is in the table above", () => {
    expect(filesIn("duckdb/auto").length + filesIn("duckdb/headers").length).toBe(16);
  });
});

const cdnow = join(data, "cdnow");
test.skipIf(!existsSync(cdnow))("CDNOW's columns between white space hold 6,919 purchases of 244,091.94", async () => {
  const columns = ["master_id", "sample_id", "date", "cds", "dollars"];
  const config: CsvConfig = { path: "CDNOW_sample.txt", format: "whitespace", columns };
  const { records, rejects } = await read(config, { from: cdnow });
  expect(records).toHaveLength(6919);
  expect(rejects).toEqual([]);
  expect(new Set(records.map((record) => record["sample_id"])).size).toBe(2357);
  const cents = records.reduce((sum, record) => sum + Math.round(Number(record["dollars"]) * 100), 0);
  expect(cents).toBe(24409194);
});

const blns = join(data, "blns/blns.json");
test.skipIf(!existsSync(blns))("every naughty string (in ../shared/data/blns) comes back as it was", async () => {
  const naughty = JSON.parse(await readFile(blns, "utf8")) as string[];
  const lines = naughty.map((text, index) => `${index},"${text.replaceAll('"', '""')}"\n`);
  await writeFile(join(directory, "naughty.csv"), `id,text\n${lines.join("")}`);
  const { records } = await read({ path: "naughty.csv" });
  expect(records.map((record) => record["text"])).toEqual(naughty);
});
