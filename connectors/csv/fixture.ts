import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { ReadStream } from "../connector.ts";
import { InvalidConfig, Rejected } from "../errors.ts";
import type { Fixture } from "../fixture.ts";

const ORDERS = [
  ["1", "Zoë, Marie", "2024-02-29", "12.50"],
  ["2", 'says "hello"', "2024-03-01", "7"],
  ["3", "two\nlines", "2024-03-02", "0.99"],
  ["4", "", "2024-03-03", "100"],
  ["5", "  spaces  ", "2024-03-04", "-3.10"],
  ["6", "\\N", "2024-03-05", "4"],
  ["7", "Ω", "2024-03-06", "5.05"],
] as const;
const FIELDS = ["order_id", "buyer", "ordered_on", "amount"] as const;
const records = ORDERS.map((values) => Object.fromEntries(FIELDS.map((field, index) => [field, values[index]])));

const orders: ReadStream = {
  name: "orders",
  key: ["order_id"],
  cursor: null,
  schema: { type: "object", required: ["order_id"], properties: { order_id: { type: "integer" } } },
};
const keyless: ReadStream = { ...orders, key: null, schema: { type: "object", properties: {} } };

export const fixture: Fixture = {
  async prepare({ directory }) {
    const lines = ORDERS.map((values) => values.map((value) => `"${value.replaceAll('"', '""')}"`).join(","));
    const header = FIELDS.join(",");
    const broken = [...lines.slice(0, 2), "3,too few", ...lines.slice(2), '8,"quoted" twice,2024-03-06,1'];
    const files: Record<string, string | Buffer> = {
      "whole/orders.csv": `\uFEFF${[header, ...lines].join("\r\n")}\r\n`,
      "parts/orders-1.csv": [header, ...lines.slice(0, 3)].join("\n"),
      "parts/orders-2.csv.gz": gzipSync([header, ...lines.slice(3)].join("\n")),
      "broken/orders.csv": [header, ...broken].join("\n"),
      "latin/orders.csv": Buffer.from(`${header}\n1,Zo\xeb,2024-02-29,12.50\n`, "latin1"),
      "open/orders.csv": `${header}\n${lines[0]}\n2,"secret value,2024-03-01,7\n`,
      "renamed/orders.csv": `number,${FIELDS.slice(1).join(",")}\n${lines[0]}\n`,
      "half/orders.csv": gzipSync(Array.from({ length: 50_000 }, (_, id) => `${id},secret ${Math.sin(id)}`).join("\n")),
      "columns/orders.txt": `  1   a  2024-02-29\n  2 b\t2024-03-01 \n\n3 c 2024-03-02\n 4 d 2024-03-03\n5 e 2024-03-04`,
    };
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(directory, name, ".."), { recursive: true });
      await writeFile(join(directory, name), content);
    }
    await truncate(join(directory, "half/orders.csv"), 100_000);
    return {
      cases: [
        { title: "a file", config: { path: "whole/orders.csv" }, stream: orders, records, again: [] },
        {
          title: "files of a pattern",
          config: { path: "parts/*" },
          stream: orders,
          records,
          again: [],
          discoveredAs: "parts",
        },
        { title: "files without a key", config: { path: "parts/orders-*" }, stream: keyless, records, again: [] },
        {
          title: "a file with broken rows",
          config: { path: "broken/orders.csv" },
          stream: orders,
          records,
          rejects: [
            { reason: "ragged_row", pointer: "line 4 of broken/orders.csv" },
            { reason: "bad_quotes", pointer: "line 11 of broken/orders.csv" },
          ],
          again: [],
        },
        {
          title: "columns between white space",
          config: { path: "columns/*.txt", format: "whitespace", columns: ["order_id", "buyer", "ordered_on"] },
          stream: orders,
          records: ["a", "b", "c", "d", "e"].map((buyer, index) => ({
            order_id: String(index + 1),
            buyer,
            ordered_on: index === 0 ? "2024-02-29" : `2024-03-0${index}`,
          })),
          again: [],
          discoveredAs: "columns",
        },
      ],
      failures: [
        {
          title: "a file that is missing",
          config: { path: "gone.csv" },
          stream: orders,
          throws: Rejected,
          message: /^gone\.csv: there is no such file .*correct "path"/,
        },
        {
          title: "a pattern that matches nothing",
          config: { path: "gone/*.csv" },
          stream: orders,
          throws: Rejected,
          message: /matches gone\/\*\.csv; correct "path"/,
        },
        {
          title: "a folder",
          config: { path: "parts" },
          stream: orders,
          throws: Rejected,
          message: /^parts is a folder; set "path" to a file, or to a pattern such as parts\/\*$/,
        },
        {
          title: "the wrong encoding",
          config: { path: "latin/orders.csv" },
          stream: orders,
          throws: Rejected,
          message: /^latin\/orders\.csv line 2: byte 38 is not UTF-8; set "encoding"/,
        },
        {
          title: "half a gzip",
          config: { path: "half/orders.csv", columns: ["order_id", "buyer"] },
          stream: orders,
          throws: Rejected,
          message: /^half\/orders\.csv line \d{4,5}: the gzip data breaks off here; fetch the whole file$/,
          secrets: ["secret"],
        },
        {
          title: "a quote that is never closed",
          config: { path: "open/orders.csv" },
          stream: orders,
          throws: Rejected,
          message: /^open\/orders\.csv line 3: the quote .* is never closed/,
          secrets: ["secret value"],
        },
        {
          title: "a column that is gone",
          config: { path: "renamed/orders.csv" },
          stream: orders,
          throws: Rejected,
          message: /^renamed\/orders\.csv line 1: there is no column "order_id"/,
        },
        {
          title: "an encoding that nobody knows",
          config: { path: "whole/orders.csv", encoding: "ebcdic-xyz" },
          stream: orders,
          throws: InvalidConfig,
          message: /^encoding "ebcdic-xyz" is not known; set it to /,
        },
      ],
    };
  },
};
