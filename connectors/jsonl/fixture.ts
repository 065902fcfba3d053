import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { DecimalText } from "../../domain/decimal.ts";
import type { ReadStream } from "../connector.ts";
import { Rejected } from "../errors.ts";
import type { Fixture } from "../fixture.ts";

const LINES = [
  '{"id": 1, "email": "zoë@example.org", "tags": ["a", {"b": null}], "at": "2024-02-29T12:00:00Z"}',
  '{"id": 2, "amount": 12345678901234567.89}',
  '{"id": 9007199254740993, "amount": 1.5, "extra": {"__proto__": 1}}',
  '{"id": 4, "amount": null, "text": "line\\nend \\u0000 \\ud800"}',
  '{"id": 5, "id": 6}',
];
const records = [
  { id: 1, email: "zoë@example.org", tags: ["a", { b: null }], at: "2024-02-29T12:00:00Z" },
  { id: 2, amount: new DecimalText("12345678901234567.89") },
  { id: new DecimalText("9007199254740993"), amount: 1.5, extra: JSON.parse('{"__proto__": 1}') as object },
  { id: 4, amount: null, text: "line\nend \0 \ud800" },
  { id: 6 },
];

const events: ReadStream = {
  name: "events",
  key: ["id"],
  cursor: null,
  schema: { type: "object", properties: { id: { type: "integer" } } },
};

export const fixture: Fixture = {
  async prepare({ directory }) {
    const files: Record<string, string | Buffer> = {
      "events.jsonl": `\uFEFF${LINES.join("\n")}`,
      "parts/events-1.jsonl.gz": gzipSync(`${LINES.slice(0, 2).join("\r\n")}\r\n`),
      "parts/events-2.jsonl": LINES.slice(2).join("\n"),
      "broken/events.jsonl": [
        "[1]",
        ...LINES.slice(0, 2),
        '{"secret": ',
        "",
        ...LINES.slice(2),
        "9007199254740993",
      ].join("\n"),
      "latin.jsonl": Buffer.from('{"id": 1}\n{"name": "Zo\xeb"}\n', "latin1"),
    };
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(directory, name, ".."), { recursive: true });
      await writeFile(join(directory, name), content);
    }
    return {
      cases: [
        { title: "a file", config: { path: "events.jsonl" }, stream: events, records, again: [] },
        {
          title: "files without a key",
          config: { path: "parts/events-*" },
          stream: { ...events, key: null },
          records,
          again: [],
        },
        {
          title: "a file with broken lines",
          config: { path: "broken/events.jsonl" },
          stream: events,
          records,
          rejects: [1, 4, 9].map((line) => ({
            reason: "invalid_json",
            pointer: `line ${line} of broken/events.jsonl`,
          })),
          again: [],
        },
      ],
      failures: [
        {
          title: "a file that is missing",
          config: { path: "gone.jsonl" },
          stream: events,
          throws: Rejected,
          message: /^gone\.jsonl: there is no such file .*correct "path"/,
        },
        {
          title: "the wrong encoding",
          config: { path: "latin.jsonl" },
          stream: events,
          throws: Rejected,
          message: /^latin\.jsonl line 2: byte 23 is not UTF-8; save the file as UTF-8$/,
        },
      ],
    };
  },
};
