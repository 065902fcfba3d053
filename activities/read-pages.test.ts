import { randomBytes } from "node:crypto";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rejected } from "../connectors/errors.ts";
import { csv } from "../connectors/csv/source.ts";
import { jsonl } from "../connectors/jsonl/source.ts";
import type { Source } from "../connectors/connector.ts";
import type { Json, Stream } from "../domain/streams.ts";
import { Naming } from "../privacy/tokens.ts";
import { testStream } from "../test/landing.ts";
import { preparePages, type PreparedPage } from "../warehouse/landing/page.ts";
import type { Prepared } from "../warehouse/landing/record.ts";
import { planStream } from "../warehouse/landing/plan.ts";
import { receivedText } from "../warehouse/landing/quarantine.ts";
import { readPages } from "./read-pages.ts";

const naming = new Naming({
  record: randomBytes(32),
  content: randomBytes(32),
  token: randomBytes(32),
  suppression: randomBytes(32),
  pseudonym: randomBytes(32),
});
const settings = { kinds: ["email"], defaultCountry: "FR", ageOfConsent: 16 };
const stream: Stream = testStream(
  {
    type: "object",
    required: ["id", "at"],
    properties: {
      id: { type: "integer" },
      at: { type: "string", format: "date-time" },
      email: { type: ["string", "null"], personal: "email", identifier: "email" },
      amount: { type: ["number", "null"] },
      more: { type: ["object", "null"] },
    },
  },
  { key: ["id"], version: "at" },
);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "read-pages-"));
  const lines = ["id,at,email,amount,more,extra"];
  const objects: string[] = [];
  for (let id = 0; id < 600; id += 1) {
    const at = new Date(Date.UTC(2026, 0, 1) + (id % 500) * 1000).toISOString();
    // An older version within the page, a key that comes again, a broken record, texts beyond Latin-1, empty fields.
    const key = id % 40 === 7 ? id - 1 : id;
    lines.push(
      `${id % 90 === 3 ? "" : key},${at},${id % 3 ? `é${id}@mail.test` : ""},${id % 2 ? "1.50" : ""},"{""n"":${id},""t"":""한😀""}",x${id}`,
    );
    const deep = id === 450 ? `,"more":${'{"a":'.repeat(300)}1${"}".repeat(300)}` : "";
    objects.push(
      `{"id":${key},"at":"${at}","amount":${id % 2 ? "0.12345678901234567890123" : "null"},"extra":{"big":12345678901234567890.5}${id % 90 === 3 ? ',"email":7' : ""}${deep}}`,
    );
  }
  await writeFile(join(directory, "a.csv"), `${lines.join("\n")}\n`);
  await writeFile(join(directory, "a.jsonl"), `${objects.join("\n")}\n`);
});
afterAll(() => rm(directory, { recursive: true }));

function reading(source: Source<never>, window: { from?: string; to?: string } | null = null) {
  return { plans: new Map([[stream.name, planStream(stream, source.values === "text", settings)]]), window };
}

function readerOf(source: Source<never>, name: string, path: string, signal = new AbortController().signal) {
  return {
    connector: source as unknown as Source<unknown>,
    connectorName: name,
    config: { path },
    streams: [{ name: stream.name, key: stream.key, cursor: null, schema: stream.schema }],
    cursor: null as Json | null,
    options: { directory, signal, pageSize: 20, sliceSize: 7 },
    planning: { streams: [stream], settings },
  };
}

function shownRecord({ recordKey, contentHash, version, values, undeclared }: Prepared) {
  return { recordKey, contentHash, version, values, undeclared };
}

async function all(pages: AsyncIterable<PreparedPage>): Promise<unknown[]> {
  const read = [];
  for await (const { streams, cursor } of pages) {
    // A record's window has been looked at by then, and is not handed on.
    const shown = streams.map(({ plan: _plan, current, superseded, rejected, ...rest }) => ({
      ...rest,
      // What is kept of it in quarantine.
      rejected: rejected.map(({ plan: _own, received, ...each }) => ({
        ...each,
        received: typeof received === "string" ? received : receivedText(received),
      })),
      current: current.map(shownRecord),
      superseded: superseded.map(shownRecord),
    }));
    read.push({ streams: shown, cursor });
  }
  return read;
}

test.each([
  ["csv", csv as unknown as Source<never>, "a.csv"],
  ["jsonl", jsonl as unknown as Source<never>, "a.jsonl"],
])("a long %s file is read the same in a thread of its own as without", async (name, source, path) => {
  const reader = readerOf(source, name, path);
  const { connector, config, streams, cursor, options } = reader;
  const span = { from: "2026-01-01T00:01:00Z", to: "2026-01-01T00:08:00Z" };
  for (const window of [null, span]) {
    const how = reading(source, window);
    const { sliceSize: _, ...whole } = options;
    const plain = await all(preparePages(naming, how, connector.read(config, streams, cursor, whole)));
    expect(plain.length).toBeGreaterThan(25);
    expect(await all(readPages(naming, how, reader, (pages) => pages))).toEqual(plain);
  }
});

test("what a thread can't read is the error that it would be without one", async () => {
  await appendFile(join(directory, "a.csv"), '900,"never closed');
  const pages = all(readPages(naming, reading(csv as never), readerOf(csv as never, "csv", "a.csv"), (each) => each));
  await expect(pages).rejects.toBeInstanceOf(Rejected);
  await expect(pages).rejects.toThrow("a.csv line 602: the quote that opens a field here is never closed");
});

test("a reading that is cancelled ends at once, its thread with it", async () => {
  const controller = new AbortController();
  const reader = readerOf(csv as never, "csv", "a.csv", controller.signal);
  const iterator = readPages(naming, reading(csv as never), reader, (each) => each);
  for (let page = 0; page < 12; page += 1) await iterator.next();
  controller.abort(new Error("cancelled"));
  await expect(
    (async () => {
      for (;;) if ((await iterator.next()).done) return;
    })(),
  ).rejects.toThrow("cancelled");
});
