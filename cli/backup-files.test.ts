import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { backupName, findBackup, requireNewestVault } from "./backup-files.ts";

const EARLY = "2026-01-31T12:00:00.000000Z";
const LATE = "2026-02-01T00:00:00.000001Z";
let folder: string;
const pathOf = (project: string, part: "data" | "vault", takenAt: string): string =>
  join(folder, backupName(project, part, takenAt));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "miette-files-"));
  for (const project of ["shop", "shop-two"]) {
    for (const takenAt of [EARLY, LATE]) {
      for (const part of ["data", "vault"] as const) await writeFile(pathOf(project, part, takenAt), "");
    }
  }
  await writeFile(`${pathOf("shop", "data", "2027-01-01T00:00:00.000000Z")}.partial`, "");
});
afterAll(async () => await rm(folder, { recursive: true }));

test("of a folder the newest whole file of the project is taken; a file is taken as it is", async () => {
  expect(await findBackup(folder, "data", "shop")).toBe(pathOf("shop", "data", LATE));
  expect(await findBackup(folder, "vault", "shop-two")).toBe(pathOf("shop-two", "vault", LATE));
  expect(await findBackup(pathOf("shop", "data", EARLY), "data", "shop")).toBe(pathOf("shop", "data", EARLY));
});

test("a folder without one, and a path to nothing, are told", async () => {
  await expect(findBackup(folder, "data", "crm")).rejects.toThrow(/holds no data part of a backup of crm/);
  await expect(findBackup(join(folder, "absent"), "data", "shop")).rejects.toThrow(/there is no such file or folder/);
});

test("a vault is refused beside which a newer one of the project lies", async () => {
  await expect(requireNewestVault(pathOf("shop", "vault", EARLY), "shop")).rejects.toThrow(
    /a newer vault lies beside it/,
  );
  await requireNewestVault(pathOf("shop", "vault", LATE), "shop");
});
