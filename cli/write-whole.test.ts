import { readFile, readdir, stat, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { writeWhole } from "./write-whole.ts";

test("a file is there when it is whole, and for its owner alone", async () => {
  const folder = await temporaryHome();
  const path = join(folder, "orders.csv");
  await writeWhole(path, async (out) => {
    out.write("a,b\n");
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    out.write("1,2\n");
  });
  expect(await readFile(path, "utf8")).toBe("a,b\n1,2\n");
  expect((await stat(path)).mode & 0o077).toBe(0);
  expect(await readdir(folder)).toEqual(["orders.csv"]);
});

test("where the writing fails, an older file stays as it was, and no part of the new one is left", async () => {
  const folder = await temporaryHome();
  const path = join(folder, "orders.csv");
  await writeFile(path, "old");
  const failing = writeWhole(path, async (out) => {
    out.write("new");
    throw new Error("the relation is gone");
  });
  await expect(failing).rejects.toThrow("the relation is gone");
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await readdir(folder)).toEqual(["orders.csv"]);
});

test("a device is written as it is, and a folder or a missing one is told in a sentence", async () => {
  await writeWhole("/dev/null", async (out) => void out.write("gone"));
  expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  const folder = await temporaryHome();
  await mkdir(join(folder, "a"));
  for (const path of [join(folder, "a"), join(folder, "absent/b.csv")]) {
    await expect(writeWhole(path, async () => undefined)).rejects.toThrow(
      /the file can't be written \((EISDIR|ENOENT)\)/,
    );
  }
});
