import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
// @ts-expect-error plain JavaScript, since it runs before anything is installed
import { isInstalled } from "./install.mjs";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));

type Packages = Record<string, { version: string; integrity?: string; optional?: boolean }>;

async function checkout(wanted: Packages, present: Packages | null): Promise<string> {
  const folder = await temporaryHome();
  await writeFile(join(folder, "package-lock.json"), JSON.stringify({ packages: { "": { version: "1" }, ...wanted } }));
  if (!present) return folder;
  await mkdir(join(folder, "node_modules"));
  await writeFile(join(folder, "node_modules", ".package-lock.json"), JSON.stringify({ packages: present }));
  for (const path of Object.keys(present)) await mkdir(join(folder, path), { recursive: true });
  return folder;
}

const A = { "node_modules/a": { version: "1.0.0", integrity: "sha512-a" } };
const B = { "node_modules/b": { version: "2.0.0", integrity: "sha512-b" } };
const OTHER_PLATFORM = { "node_modules/c-darwin": { version: "3.0.0", integrity: "sha512-c", optional: true } };

test("a checkout whose packages are those of the lock file needs no installation", async () => {
  expect(isInstalled(CHECKOUT)).toBe(true);
  expect(isInstalled(await checkout({ ...A, ...B, ...OTHER_PLATFORM }, { ...A, ...B }))).toBe(true);
});

test("a missing, differing, removed or never finished package needs one", async () => {
  expect(isInstalled(await checkout(A, null))).toBe(false);
  expect(isInstalled(await checkout({ ...A, ...B }, A))).toBe(false);
  expect(isInstalled(await checkout(A, { "node_modules/a": { version: "1.0.1", integrity: "sha512-a" } }))).toBe(false);
  expect(isInstalled(await checkout(A, { "node_modules/a": { version: "1.0.0", integrity: "sha512-x" } }))).toBe(false);
  const removed = await checkout(A, A);
  await rm(join(removed, "node_modules", "a"), { recursive: true });
  expect(isInstalled(removed)).toBe(false);
});

test("the lock file names every platform's packages, so that npm ci accepts it anywhere", async () => {
  const { packages } = JSON.parse(await readFile(join(CHECKOUT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies).filter(
      (name) => !Object.keys(packages).some((path) => path.endsWith(`/${name}`)),
    ),
  );
  expect(missing).toEqual([]);
});

test("a checkout that is installed is left alone, without a word", () => {
  expect(execFileSync(process.execPath, [join(CHECKOUT, "stack", "install.mjs")], { encoding: "utf8" })).toBe("");
});
