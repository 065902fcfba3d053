import { execFile, execFileSync } from "node:child_process";
import { appendFile, chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Json } from "../../domain/streams.ts";
import type { Page, ReadOptions, ReadStream } from "../connector.ts";
import { Rejected, Unavailable } from "../errors.ts";
import { jsonl } from "../jsonl/source.ts";

const keyed: ReadStream = { name: "rows", key: ["id"], cursor: null, schema: { type: "object", properties: {} } };

let root: string;
/** A folder whose own name looks like a pattern. */
let directory: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-files-"));
  directory = join(root, "shop [1] {a,b}");
  await mkdir(directory);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const write = (name: string, ...ids: (number | string)[]) =>
  writeFile(join(directory, name), ids.map((id) => `{"id":${id}}\n`).join(""));

const pagesOf = (path: string, cursor: Json | null = null, more: Partial<ReadOptions & { stream: ReadStream }> = {}) =>
  jsonl.read({ path }, [more.stream ?? keyed], cursor, {
    directory,
    pageSize: 2,
    signal: new AbortController().signal,
    ...more,
  });

async function read(
  ...parameters: Parameters<typeof pagesOf>
): Promise<{ ids: unknown[]; cursor: Json; pages: Page[] }> {
  const pages: Page[] = [];
  for await (const page of pagesOf(...parameters)) pages.push(page);
  const ids = pages.flatMap((page) => page.records["rows"]?.map((record) => record["id"]) ?? []);
  return { ids, pages, cursor: pages.at(-1)?.cursor ?? parameters[1] ?? null };
}

describe("which files are read", () => {
  test.each([
    ["*.jsonl", [10, 2, 3]],
    ["**/*.jsonl", [10, 2, 3, 4]],
    ["./b?.jsonl", [2]],
    ["{a,c}*.jsonl", [10, 3]],
    ["sub/../[ab]*.jsonl", [10, 2]],
    ["literal[1].jsonl", [5]],
    [".hidden*", [6]],
  ])("%s, in the order of their names", async (path, expected) => {
    await mkdir(join(directory, "sub"));
    await write("b1.jsonl", 2);
    await write("a10.jsonl", 10);
    await write("c.jsonl", 3);
    await write("sub/d.jsonl", 4);
    await write("literal[1].jsonl", 5);
    await write(".hidden.jsonl", 6);
    const { ids } = await read(path);
    expect(ids.filter((id) => path.startsWith("literal") || id !== 5)).toEqual(expected);
  });

  test("outside of the project's folder, too, and by absolute paths", async () => {
    await writeFile(join(root, "outside.jsonl"), '{"id":1}\n');
    await write("inside.jsonl", 2);
    expect((await read("../*.jsonl")).ids).toEqual([1]);
    expect((await read(join(root, "*.jsonl"))).ids).toEqual([1]);
    const { ids, cursor } = await read(join(directory, "*.jsonl"));
    expect(ids).toEqual([2]);
    expect((await read("*.jsonl", cursor)).ids).toEqual([]);
  });

  test("through symbolic links, and never what is no regular file", async () => {
    await write("a.jsonl", 1);
    await symlink(join(directory, "a.jsonl"), join(directory, "b.jsonl"));
    await symlink(join(directory, "gone"), join(directory, "c.jsonl"));
    execFileSync("mkfifo", [join(directory, "d.jsonl")]);
    expect((await read("*.jsonl")).ids).toEqual([1, 1]);
    await expect(read("d.jsonl")).rejects.toThrow(/^d\.jsonl is no regular file; set "path"/);
    await expect(read("a.jsonl/x.jsonl")).rejects.toThrow(/^a\.jsonl\/x\.jsonl: there is no such file/);
  });

  test("not without the right to read them, which is told", async () => {
    await write("a.jsonl", 1);
    await chmod(root, 0o755);
    await chmod(join(directory, "a.jsonl"), 0);
    // Root may read everything, so it becomes somebody else for this.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      await expect(read("a.jsonl")).rejects.toThrow(/^a\.jsonl may not be read \(EACCES\); give the user/);
      await expect(read("a.jsonl")).rejects.toBeInstanceOf(Rejected);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    await chmod(directory, 0);
    if (isRoot) process.seteuid?.(65534);
    try {
      await expect(read("*.jsonl")).rejects.toThrow(/ may not be read \(EACCES\)/);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(directory, 0o755);
    }
  });

  test("where a name has lost its file, the plain path is an error and a pattern is not", async () => {
    await write("a.jsonl", 1);
    const { cursor } = await read("*.jsonl");
    await rm(join(directory, "a.jsonl"));
    expect((await read("*.jsonl", cursor)).ids).toEqual([]);
    await expect(read("a.jsonl", cursor)).rejects.toBeInstanceOf(Rejected);
    await expect(read("*.jsonl")).rejects.toThrow(/^no file in .* matches \*\.jsonl; correct "path"/);
  });
});

describe("what is read again", () => {
  test("nothing of files that stand as they were, all of those that are new or changed", async () => {
    await write("a.jsonl", 1, 2, 3);
    await write("b.jsonl", 4);
    const first = await read("*.jsonl");
    expect(first.ids).toEqual([1, 2, 3, 4]);
    await appendFile(join(directory, "b.jsonl"), '{"id":5}\n');
    await write("c.jsonl", 6);
    const second = await read("*.jsonl", first.cursor);
    expect(second.ids).toEqual([4, 5, 6]);
    await utimes(join(directory, "a.jsonl"), 1, 1);
    const third = await read("*.jsonl", second.cursor);
    expect(third.ids).toEqual([1, 2, 3]);
    expect(await read("*.jsonl", third.cursor)).toMatchObject({ ids: [], pages: [] });
  });

  test("the whole of a file that changed after half of it was read", async () => {
    await write("a.jsonl", 1, 2, 3, 4, 5);
    const { pages } = await read("a.jsonl");
    expect((await read("a.jsonl", pages[0]?.cursor)).ids).toEqual([3, 4, 5]);
    await write("a.jsonl", 7, 8, 9, 10, 11, 12);
    expect((await read("a.jsonl", pages[0]?.cursor)).ids).toEqual([7, 8, 9, 10, 11, 12]);
  });

  test("a file without records once only", async () => {
    await write("a.jsonl");
    const { ids, pages, cursor } = await read("a.jsonl");
    expect({ ids, count: pages.length }).toEqual({ ids: [], count: 1 });
    expect((await read("a.jsonl", cursor)).pages).toEqual([]);
  });

  test("a keyless file from its start, until its last page; its pages hold nothing of another file", async () => {
    const stream = { ...keyed, key: null };
    await write("a.jsonl", 1, 2, 3);
    await write("b.jsonl", 4, 5);
    const { pages } = await read("*.jsonl", null, { stream });
    expect(pages.map(({ part, records }) => [part, records["rows"]?.length])).toEqual([
      ["a.jsonl", 2],
      ["a.jsonl", 1],
      ["b.jsonl", 2],
    ]);
    expect((await read("*.jsonl", pages[0]?.cursor, { stream })).ids).toEqual([1, 2, 3, 4, 5]);
    expect((await read("*.jsonl", pages[1]?.cursor, { stream })).ids).toEqual([4, 5]);
    expect((await read("*.jsonl", pages[2]?.cursor, { stream })).ids).toEqual([]);
  });

  test("in shares that may be read at the same time, each resumable, then joined", async () => {
    const split = async (cursor: Json | null, more: { most?: number; leastBytes?: number } = {}) =>
      (await jsonl.shares?.split({ path: "*.jsonl" }, keyed, cursor, {
        directory,
        signal: new AbortController().signal,
        most: 3,
        leastBytes: 1,
        ...more,
      })) ?? [];
    await write("0.jsonl", 1);
    const before = (await read("*.jsonl")).cursor;
    await write("a.jsonl", 2, 3, 4, 5, 6, 7, 8);
    await write("b.jsonl", 9, 10);
    await write("c.jsonl", 11, 12, 13);
    await write("d.jsonl", 14);
    expect(await split(before, { most: 1 })).toEqual([]);
    expect(await split(before, { leastBytes: 1000 })).toEqual([]);
    const shares = await split(before);
    const parts = [];
    for (const share of shares) parts.push(await read("*.jsonl", share));
    expect(parts.map(({ ids }) => ids)).toEqual([
      [2, 3, 4, 5, 6, 7, 8],
      [11, 12, 13],
      [9, 10, 14],
    ]);
    const [first] = parts;
    expect((await read("*.jsonl", first?.pages[1]?.cursor)).ids).toEqual([6, 7, 8]);
    const joined =
      jsonl.shares?.join(
        before,
        parts.map(({ cursor }) => cursor),
      ) ?? null;
    expect((await read("*.jsonl", joined)).ids).toEqual([]);
    await write("e.jsonl", 15);
    expect((await read("*.jsonl", joined)).ids).toEqual([15]);
    const half = jsonl.shares?.join(before, [
      first?.pages[0]?.cursor ?? null,
      shares[1] as Json,
      parts[2]?.cursor ?? null,
    ]);
    expect((await read("*.jsonl", half)).ids).toEqual([2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 15]);
  });

  test("everything after a cursor that is not of files", async () => {
    await write("a.jsonl", 1);
    expect((await read("a.jsonl", { by: ["id"], from: "3" })).ids).toEqual([1]);
  });
});

test("a file that changes while it is read is not taken for read, and is tried again", async () => {
  await write("a.jsonl", ...Array.from({ length: 40_000 }, (_, id) => id));
  const reading = async () => {
    let hasChanged = false;
    for await (const page of pagesOf("a.jsonl", null, { pageSize: 100 })) {
      expect(page.cursor).toMatchObject({ files: {} });
      if (!hasChanged) await appendFile(join(directory, "a.jsonl"), '{"id":-1}\n');
      hasChanged = true;
    }
  };
  await expect(reading()).rejects.toBeInstanceOf(Unavailable);
});

test("a file that unpacks to 100 MB is read in a heap of 64 MB", async () => {
  const line = `{"id":1,"text":"${"x".repeat(1000)}"}\n`;
  await writeFile(join(directory, "bomb.jsonl"), gzipSync(line.repeat(100_000)));
  const program = `
    import { jsonl } from "./connectors/jsonl/source.ts";
    const options = { directory: process.argv[1], pageSize: 1e6, signal: new AbortController().signal };
    const stream = { name: "rows", key: ["id"], cursor: null, schema: { type: "object", properties: {} } };
    let count = 0;
    for await (const page of jsonl.read({ path: "bomb.jsonl" }, [stream], null, options)) count += page.records.rows.length;
    console.log(count);`;
  const flags = ["--max-old-space-size=64", "--import", "tsx", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, directory]);
  expect(stdout).toBe("100000\n");
});

test("a gzip that unpacks to 200 times its size and more than 256 MB is refused where it goes too far", async () => {
  const packed = gzipSync(Buffer.alloc(16 * 1024 * 1024, 0x20));
  await writeFile(join(directory, "bomb.jsonl"), Buffer.concat(Array.from({ length: 40 }, () => packed)));
  await expect(read("bomb.jsonl")).rejects.toThrow(
    /^bomb\.jsonl line 1: the gzip data unpack to more than 200 times their size; if that is right, unpack the file/,
  );
});

test("what is packed otherwise, or twice, is told as that", async () => {
  const text = Buffer.from('{"id":1}\n');
  await writeFile(join(directory, "a.jsonl"), gzipSync(gzipSync(text)));
  await writeFile(join(directory, "b.jsonl"), Buffer.concat([Buffer.from("PK\x03\x04"), text]));
  await writeFile(join(directory, "c.jsonl"), Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), text]));
  await writeFile(join(directory, "d.jsonl"), gzipSync(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1])));
  await expect(read("a.jsonl")).rejects.toThrow("a.jsonl line 1: the gzip data hold gzip data again; unpack it");
  await expect(read("b.jsonl")).rejects.toThrow("b.jsonl line 1: this is a zip file; unpack it");
  await expect(read("c.jsonl")).rejects.toThrow("c.jsonl line 1: this is a zstd file; unpack it");
  await expect(read("d.jsonl")).rejects.toThrow("d.jsonl line 1: the gzip data hold zstd data again; unpack it");
});

test("a gzip that breaks off is an error with its line, and no page of the file counts it as read", async () => {
  const packed = gzipSync(Array.from({ length: 20_000 }, (_, id) => `{"id":${id},"x":${Math.sin(id)}}\n`).join(""));
  await writeFile(join(directory, "a.jsonl"), packed.subarray(0, packed.length >> 1));
  const cursors: Json[] = [];
  const reading = async () => {
    for await (const page of pagesOf("a.jsonl", null, { pageSize: 100 })) cursors.push(page.cursor);
  };
  await expect(reading()).rejects.toThrow(/^a\.jsonl line \d+: the gzip data breaks off here; fetch the whole file$/);
  expect(cursors.length).toBeGreaterThan(0);
  expect(cursors.every((cursor) => Object.keys((cursor as { files: object }).files).length === 0)).toBe(true);
});

test("nesting of any depth is a record or a reject, never an end of the sync", async () => {
  const deep = (levels: number) => `{"id":1,"x":${"[".repeat(levels)}${"]".repeat(levels)}}\n`;
  await writeFile(join(directory, "a.jsonl"), [10, 1_000, 100_000, 1_000_000].map(deep).join("") + '{"id":2}\n');
  const { pages, ids } = await read("a.jsonl", null, { pageSize: 100 });
  const rejects = pages.flatMap((page) => page.rejects ?? []);
  expect(ids.length + rejects.length).toBe(5);
  expect([ids[0], ids.at(-1)]).toEqual([1, 2]);
  expect(rejects.every(({ reason }) => reason === "invalid_json")).toBe(true);
});

test("a page ends at about 8 MB", async () => {
  await write("a.jsonl", ...Array.from({ length: 30 }, () => `"${"y".repeat(1024 * 1024)}"`));
  const { pages } = await read("a.jsonl", null, { pageSize: 1000 });
  expect(pages.map((page) => page.records["rows"]?.length)).toEqual([8, 8, 8, 6]);
});

test("gzip is told by its content, whatever the name; a damaged one names its line", async () => {
  const packed = gzipSync(Array.from({ length: 20_000 }, (_, id) => `{"id":${id},"x":${Math.sin(id)}}\n`).join(""));
  await writeFile(join(directory, "a.jsonl"), Buffer.concat([packed, gzipSync('{"id":-1}\n')]));
  const { ids } = await read("a.jsonl", null, { pageSize: 10_000 });
  expect([ids.length, ids.at(-1)]).toEqual([20_001, -1]);
  await write("b.jsonl.gz", 1, 2);
  expect((await read("b.jsonl.gz")).ids).toEqual([1, 2]);
  packed.fill(0xff, packed.length >> 1, (packed.length >> 1) + 100);
  await writeFile(join(directory, "c.jsonl"), packed);
  await expect(read("c.jsonl")).rejects.toThrow(
    /^c\.jsonl line \d+: the gzip data is damaged here; fetch the file again$/,
  );
});

test("a line longer than 10 MB is rejected, and reading goes on", async () => {
  await write("a.jsonl", 1, `"${"z".repeat(11 * 1024 * 1024)}"`, 2);
  const { ids, pages } = await read("a.jsonl");
  expect(ids).toEqual([1, 2]);
  expect(pages.flatMap((page) => page.rejects ?? [])).toMatchObject([
    { reason: "line_too_long", pointer: "line 2 of a.jsonl" },
  ]);
});
