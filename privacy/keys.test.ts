import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UserError } from "../domain/errors.ts";
import { createKeyFile, openKeyFile } from "./keys.ts";

let home: string;
let path: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "miette-keys-"));
  path = join(home, "keys/generation-1.key");
});
afterEach(() => rm(home, { recursive: true }));

const openIt = (generation = 1): ReturnType<typeof openKeyFile> =>
  openKeyFile(path, generation, join(home, "postgres"));

test("a key file is its owner's alone, and is never made over an older one", async () => {
  await createKeyFile(path);
  const text = await readFile(path, "utf8");
  expect((await stat(path)).mode & 0o777).toBe(0o400);
  await Promise.all([createKeyFile(path), createKeyFile(path)]);
  expect(await readFile(path, "utf8")).toBe(text);
});

test("a wrapped key opens for its purpose and generation alone", async () => {
  await createKeyFile(path);
  const encryption = await openIt();
  const key = Buffer.alloc(32, 7);
  const wrapped = encryption.wrap(key, "purpose:record");
  expect(encryption.unwrap(wrapped, 1, "purpose:record")).toEqual(key);
  expect(() => encryption.unwrap(wrapped, 1, "purpose:token")).toThrow("does not open");
  expect(() => encryption.unwrap(wrapped, 2, "purpose:record")).toThrow("generation 2");
});

test("a key file that is missing, open to others, cut short, of another generation, or among the data is refused without a byte of it", async () => {
  await expect(openIt()).rejects.toThrow("is missing");
  await createKeyFile(path);
  const secret = (await readFile(path, "utf8")).split("\n")[1] as string;
  await expect(openIt(2)).rejects.toThrow("is of generation 1");
  await expect(openKeyFile(path, 1, home)).rejects.toThrow("data directory");
  await chmod(path, 0o644);
  await expect(openIt()).rejects.toThrow("chmod 0400");
  await rm(path);
  await writeFile(path, `miette key generation 1\n${secret.slice(0, 40)}\n`, { mode: 0o400 });
  const error: unknown = await openIt().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).toContain("cut short");
  expect((error as Error).message).not.toContain(secret.slice(0, 8));
});
