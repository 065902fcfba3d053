import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, inject, test } from "vitest";
import { compileSchema, packagedSchema } from "../config/validate.ts";
import type { FieldSchema, Json } from "../domain/streams.ts";
import { fieldType } from "../warehouse/landing/values.ts";
import type { Page, ReadOptions, Source, SourceRecord } from "./connector.ts";
import type { Fixture, FixtureCase } from "./fixture.ts";
import { sources } from "./index.ts";

/**
 * What landing and the project file count on, asked of every connector of the registry. A connector brings
 * `connectors/<name>/fixture.ts`; its shape is in fixture.ts. The fixtures are prepared before the tests are collected,
 * so that every case and every failure is a test of its own.
 */
const connectors = await Promise.all(
  Object.entries(sources).map(async ([name, source]) => {
    const { fixture } = (await import(`./${name}/fixture.ts`)) as { fixture: Fixture };
    const directory = await mkdtemp(join(tmpdir(), `miette-${name}-`));
    const prepared = await fixture.prepare({ directory, postgresUrl: inject("postgresUrl") });
    return { name, source: source as unknown as Source<Json>, directory, ...prepared };
  }),
);

afterAll(async () => {
  for (const { close, directory } of connectors) {
    await close?.();
    await rm(directory, { recursive: true, force: true });
  }
});

describe.each(connectors)("the connector $name", ({ source, directory, cases, failures }) => {
  const options = (more: Partial<ReadOptions> = {}): ReadOptions => ({
    directory,
    pageSize: 1000,
    signal: new AbortController().signal,
    ...more,
  });
  const read = ({ config, stream }: Pick<FixtureCase, "config" | "stream">, cursor: Json | null, more = {}) =>
    gather(source.read(config, [stream], cursor, options(more)));

  test("has a config whose every key is described", () => {
    expect(() => compileSchema(source.spec)).not.toThrow();
    expect(undescribed(source.spec)).toEqual([]);
  });

  test("brings cases with and without a key, and failures", () => {
    expect(cases.some(({ stream }) => stream.key !== null)).toBe(true);
    expect(cases.some(({ stream }) => stream.key === null)).toBe(true);
    expect(cases.every(({ records }) => records.length >= 5)).toBe(true);
    expect(failures.length).toBeGreaterThan(0);
  });

  describe.each(cases)("reads $title", (each) => {
    const { stream } = each;

    test("with a config that its spec allows", () => {
      const validate = compileSchema(source.spec);
      expect(validate(each.config), JSON.stringify(validate.errors)).toBe(true);
    });

    test.each([1, 2, 3, 1000])("whole, in pages of at most %i", async (pageSize) => {
      const pages = await read(each, null, { pageSize });
      expect(sorted(recordsOf(pages, stream.name))).toEqual(sorted(each.records));
      const rejects = pages.flatMap((page) => page.rejects ?? []);
      expect(rejects.map(({ reason, pointer }) => ({ reason, pointer }))).toEqual(each.rejects ?? []);
      for (const page of pages) {
        expect(Object.keys(page.records)).toEqual([stream.name]);
        expect(sizeOf(page)).toBeLessThanOrEqual(pageSize);
        expect(page.rejects?.every((reject) => reject.stream === stream.name && reject.raw !== "") ?? true).toBe(true);
        if (stream.key === null) expect(page.part).toEqual(expect.any(String));
      }
    });

    test("with cursors that survive as JSON and move on", async () => {
      const pages = await read(each, null, { pageSize: 2 });
      const cursors = pages.map(({ cursor }) => JSON.stringify(cursor));
      for (const { cursor } of pages) expect(JSON.parse(JSON.stringify(cursor))).toEqual(cursor);
      expect(cursors.at(-1)).not.toBe("null");
      if (stream.key !== null) expect(new Set(cursors).size).toBe(cursors.length);
    });

    test("on from every page, exactly what is missing", async () => {
      const pages = await read(each, null, { pageSize: 2 });
      for (const [index, { cursor }] of pages.slice(0, -1).entries()) {
        const rest = await read(each, JSON.parse(JSON.stringify(cursor)) as Json, { pageSize: 3 });
        const isKeyless = stream.key === null;
        const missing = isKeyless ? unfinishedParts(pages, index) : pages.slice(index + 1);
        expect(sorted(recordsOf(rest, stream.name))).toEqual(sorted(recordsOf(missing, stream.name)));
        expect(rest.flatMap((page) => page.rejects ?? [])).toEqual(missing.flatMap((page) => page.rejects ?? []));
      }
    });

    test("again, as the source says, while nothing has changed", async () => {
      const pages = await read(each, null);
      const again = await read(each, JSON.parse(JSON.stringify(pages.at(-1)?.cursor)) as Json);
      expect(sorted(recordsOf(again, stream.name))).toEqual(sorted(each.again));
    });

    test("no further once it is told to stop", async () => {
      const controller = new AbortController();
      const reason = new Error("told to stop");
      const pages: Page[] = [];
      const reading = async () => {
        for await (const page of source.read(
          each.config,
          [stream],
          null,
          options({ pageSize: 1, signal: controller.signal }),
        )) {
          pages.push(page);
          controller.abort(reason);
        }
      };
      await expect(reading()).rejects.toBe(reason);
      expect(pages.length).toBe(1);
      await expect(read(each, null, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    test("after discovering it, by a schema that its records fit", async () => {
      const found = await source.discover(each.config, { directory, signal: new AbortController().signal });
      const name = each.discoveredAs ?? stream.name;
      const discovered = found.find((candidate) => candidate.name === name);
      if (!discovered) throw new Error(`${name} is not among ${found.map((candidate) => candidate.name).join(", ")}`);
      const validate = packagedSchema("stream");
      // Why a label is proposed is written as a comment, not as a word of the schema.
      const words = (key: string, value: unknown) => (key === "why" ? undefined : value);
      const written: unknown = JSON.parse(JSON.stringify(discovered.schema, words));
      expect(
        validate(written),
        validate.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`).join(),
      ).toBe(true);
      const fields = Object.entries(discovered.schema.properties).map(
        ([field, schema]) => [field, fieldType(schema, source.values === "text")] as const,
      );
      for (const record of each.records) {
        expect(Object.keys(discovered.schema.properties)).toEqual(expect.arrayContaining(Object.keys(record)));
        for (const field of discovered.schema.required ?? []) expect(Object.keys(record)).toContain(field);
        for (const [field, type] of fields) {
          const parsed = type.parse(Object.hasOwn(record, field) ? record[field] : undefined);
          expect({ field, parsed }).toEqual({ field, parsed: isText(parsed) ? parsed : "a text or null" });
        }
      }
    });
  });

  test.each(failures)("says what is wrong with $title", async ({ config, stream, throws, message, secrets = [] }) => {
    const error = await read({ config, stream }, null).then(
      () => null,
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toBeInstanceOf(throws);
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toMatch(/\n/);
    for (const secret of secrets) expect(error?.message).not.toContain(secret);
  });
});

async function gather(pages: AsyncIterable<Page>): Promise<Page[]> {
  const all: Page[] = [];
  for await (const page of pages) all.push(page);
  return all;
}

function recordsOf(pages: Page[], stream: string): SourceRecord[] {
  return pages.flatMap((page) => page.records[stream] ?? []);
}

function sizeOf({ records, rejects = [] }: Page): number {
  return Object.values(records).reduce((sum, each) => sum + each.length, rejects.length);
}

/** Keyless: every page of the parts that are not read to their end at this page; the last page of a part ends it. */
function unfinishedParts(pages: Page[], index: number): Page[] {
  const finished = new Set(
    pages.slice(0, index + 1).flatMap(({ part }, at) => (pages[at + 1]?.part === part ? [] : [part])),
  );
  return pages.filter(({ part }) => !finished.has(part));
}

/** Text that tells any two records apart, so that records can be compared in any order. */
function sorted(records: SourceRecord[]): SourceRecord[] {
  const text = (record: SourceRecord) => JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  return [...records].sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

function isText(parsed: unknown): boolean {
  return parsed === null || typeof parsed === "string";
}

/** Paths of the keys of a config's schema that have no description. */
function undescribed(spec: object, path = ""): string[] {
  const { properties = {}, items } = spec as { properties?: Record<string, FieldSchema>; items?: object };
  return [
    ...Object.entries(properties).flatMap(([key, schema]) => [
      ...(schema.description ? [] : [`${path}/${key}`]),
      ...undescribed(schema, `${path}/${key}`),
    ]),
    ...(items ? undescribed(items, `${path}/items`) : []),
  ];
}
