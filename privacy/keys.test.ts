import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UserError } from "../domain/errors.ts";
import { environmentKeys } from "./key-environment.ts";
import { keyFiles } from "./key-files.ts";
import { programKeys } from "./key-program.ts";
import { KeyRing, type KeyKeeper } from "./keys.ts";

let home: string;
let folder: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "miette-keys-"));
  folder = join(home, "keys");
});
afterEach(() => rm(home, { recursive: true }));

const files = (): KeyKeeper =>
  keyFiles(folder, [
    { directory: join(home, "postgres"), name: "data directory" },
    { directory: join(home, "backups"), name: "folder of the backups" },
  ]);
const pathOf = (generation: number): string => join(folder, `generation-${generation}.key`);

/** Refused in one sentence, without a byte of the key. */
async function refused(keeper: KeyKeeper, secret: string, generation = 1): Promise<string> {
  const error: unknown = await keeper.read(generation).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UserError);
  const { message } = error as UserError;
  for (let at = 0; at + 8 <= secret.length; at += 4) expect(message).not.toContain(secret.slice(at, at + 8));
  expect(message).not.toContain("\n");
  return message;
}

test("a key file is its owner's alone, and is never made over an older one", async () => {
  await files().create(1);
  const text = await readFile(pathOf(1), "utf8");
  expect((await stat(pathOf(1))).mode & 0o777).toBe(0o400);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  await Promise.all([files().create(1), files().create(1)]);
  expect(await readFile(pathOf(1), "utf8")).toBe(text);
  expect(await readdir(folder)).toEqual(["generation-1.key"]);
});

test("a wrapped key opens for its purpose and generation alone", async () => {
  const ring = new KeyRing(files());
  await ring.createGeneration(1);
  await ring.createGeneration(2);
  const key = Buffer.alloc(32, 7);
  const wrapped = ring.wrap(key, 1, "purpose:record");
  expect(ring.unwrap(wrapped, 1, "purpose:record")).toEqual(key);
  expect(() => ring.unwrap(wrapped, 1, "purpose:token")).toThrow("does not open");
  expect(() => ring.unwrap(wrapped, 2, "purpose:record")).toThrow("does not open");
  await ring.destroyGeneration(1);
  expect(() => ring.unwrap(wrapped, 1, "purpose:record")).toThrow("has not been opened");
  await expect(ring.openGeneration(1)).rejects.toThrow("is missing");
  await ring.destroyGeneration(1);
});

test("a key file that is missing, open to others, cut short, a link, or of another generation is refused in one sentence", async () => {
  expect(await refused(files(), "-")).toContain("is missing");
  await files().create(1);
  const secret = (await readFile(pathOf(1), "utf8")).split("\n")[1] as string;
  for (const mode of [0o440, 0o404, 0o644, 0o410]) {
    await chmod(pathOf(1), mode);
    expect(await refused(files(), secret)).toContain("chmod 0400");
  }
  await chmod(pathOf(1), 0o400);
  for (const mode of [0o777, 0o720, 0o702]) {
    await chmod(folder, mode);
    expect(await refused(files(), secret)).toContain("chmod 0700");
  }
  // As a mounted secret: nobody may replace what is another's.
  await chmod(folder, 0o1777);
  expect((await files().read(1)).toString("hex")).toBe(secret);
  await chmod(folder, 0o700);
  await rm(pathOf(1));
  for (const text of [
    `miette key generation 1\n${secret.slice(0, 40)}\n`,
    `miette key generation 1\n${secret}${secret}\n`,
    secret,
    "",
  ]) {
    await writeFile(pathOf(1), text, { mode: 0o400 });
    expect(await refused(files(), secret)).toContain("cut short");
    await rm(pathOf(1));
  }
  await writeFile(pathOf(1), `miette key generation 2\n${secret}\n`, { mode: 0o400 });
  expect(await refused(files(), secret)).toContain("is of generation 2");
  await rm(pathOf(1));
  await symlink("/dev/zero", pathOf(1));
  expect(await refused(files(), secret)).toContain("no file");
});

test("a key in the data directory or among the backups is refused, also by way of a link", async () => {
  for (const [name, said] of [
    ["postgres", "data directory"],
    ["backups", "folder of the backups"],
  ] as const) {
    const inside = join(home, name, "deep/keys");
    await mkdir(inside, { recursive: true });
    folder = inside;
    await expect(files().create(1)).rejects.toThrow(said);
    folder = join(home, `link-${name}`);
    await symlink(inside, folder);
    await expect(files().create(1)).rejects.toThrow(said);
    await writeFile(pathOf(1), `miette key generation 1\n${"ab".repeat(32)}\n`, { mode: 0o400 });
    expect(await refused(files(), "ab".repeat(32))).toContain(said);
  }
});

test("keys of the environment are used as they are, and only their owner can make or destroy one", async () => {
  const ring = new KeyRing(environmentKeys(new Map([[1, Buffer.alloc(32, 1)]])));
  await ring.createGeneration(1);
  expect(ring.unwrap(ring.wrap(Buffer.alloc(32, 9), 1, "p"), 1, "p")).toEqual(Buffer.alloc(32, 9));
  await expect(ring.createGeneration(2)).rejects.toThrow("MIETTE_KEY_GENERATIONS: has no key of generation 2");
  await expect(ring.destroyGeneration(1)).rejects.toThrow("remove it here");
  await new KeyRing(environmentKeys(new Map())).destroyGeneration(1);
});

test("a key management service wraps each generation's key, and what it destroyed opens no more", async () => {
  // Keys of the "service" are files of its own; it wraps by exclusive or, which is enough to tell keys apart.
  const program = join(home, "kms.mjs");
  await writeFile(
    program,
    `#!${process.execPath}
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
const [verb, generation] = process.argv.slice(2);
const path = ${JSON.stringify(home)} + "/kms-" + generation;
if (verb === "destroyGeneration") process.exit((rmSync(path), 0));
if (verb === "wrap" && !existsSync(path)) writeFileSync(path, Buffer.alloc(32, Math.floor(Math.random() * 255) + 1));
const key = readFileSync(path);
const text = Buffer.from(readFileSync(0, "utf8").trim(), "base64");
console.log(Buffer.from(text.map((byte, index) => byte ^ key[index])).toString("base64"));
`,
    { mode: 0o700 },
  );
  const ring = new KeyRing(programKeys(program, folder));
  await ring.createGeneration(1);
  const wrapped = ring.wrap(Buffer.alloc(32, 9), 1, "p");
  const another = new KeyRing(programKeys(program, folder));
  await another.createGeneration(1);
  expect(another.unwrap(wrapped, 1, "p")).toEqual(Buffer.alloc(32, 9));
  await rm(join(home, "kms-1"));
  await expect(new KeyRing(programKeys(program, folder)).openGeneration(1)).rejects.toThrow(
    `${program} unwrap 1 ended with exit code 1`,
  );
  await writeFile(join(home, "kms-1"), "another key of thirty-two bytes!");
  await another.destroyGeneration(1);
  await another.destroyGeneration(1);
  expect(await readdir(folder)).toEqual([]);
  await expect(new KeyRing(programKeys(join(home, "absent"), folder)).createGeneration(3)).rejects.toThrow("ENOENT");
});
