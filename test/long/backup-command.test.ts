import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCommandLine, succeeded, type CommandLine } from "../command.ts";
import { PROJECT } from "../faults-project.ts";
import { customersOf, FIVE_CUSTOMERS } from "../five-customers.ts";

/** Two machines: what the first has backed up is restored on the second. */
const PATIENCE = 600_000;
let first: CommandLine;
let second: CommandLine;
let backups: string;

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
beforeAll(async () => {
  if (!IS_LONG) return;
  [first, second] = [await createCommandLine(), await createCommandLine()];
  for (const each of [first, second]) await each.write({ ...PROJECT, ...FIVE_CUSTOMERS });
  backups = join(second.project, "..", "copies");
}, PATIENCE);

afterAll(async () => {
  if (!IS_LONG) return;
  await first.remove();
  await second.remove();
}, PATIENCE);

test("a backup of one machine is the same mart on another", { timeout: PATIENCE, skip: !IS_LONG }, async () => {
  succeeded(await first.miette(["up", "--detach"]));
  succeeded(await first.miette(["run", "--json"]));
  const said = succeeded(await first.miette(["backup", backups, "--vault", join(backups, "vault")])).stdout;
  expect(said).toMatch(/The keys \(files in .*keys\) are not in it/);
  expect(said).toMatch(/schedules come back with miette schedules apply/);
  const [vault = ""] = await readdir(join(backups, "vault"));
  expect(vault).toMatch(/^faults-\d{8}T\d{6}\.\d{6}Z\.vault\.miette$/);
  expect((await readdir(backups)).toSorted()).toEqual([vault.replace(".vault.", ".data."), "vault"].toSorted());

  const before = await customersOf(first);
  succeeded(await first.miette(["down"]));

  const restore = ["restore", backups, "--vault", join(backups, "vault")];
  const withoutKeys = await second.miette(restore);
  expect(withoutKeys).toMatchObject({ code: 2, stdout: "" });
  expect(withoutKeys.stderr).toMatch(/the key file is missing/);

  await cp(join(first.home, "keys"), join(second.home, "keys"), { recursive: true });
  expect(succeeded(await second.miette(restore)).stdout).toMatch(/^Restored, and the mart is built\./m);
  expect(await customersOf(second)).toEqual(before);

  const again = await second.miette(restore.slice(0, 2));
  expect(again).toMatchObject({ code: 2, stdout: "" });
  expect(again.stderr).toMatch(/this warehouse is not empty; --replace drops what it holds/);
});

test(
  "a living warehouse goes back with its own vault, and takes no file's",
  { timeout: PATIENCE, skip: !IS_LONG },
  async () => {
    const before = await customersOf(second);
    const withVault = await second.miette(["restore", backups, "--vault", join(backups, "vault"), "--replace"]);
    expect(withVault.code).toBe(2);
    expect(withVault.stderr).toMatch(/has a vault of its own, which is the newest; leave --vault out/);
    succeeded(await second.miette(["restore", backups, "--replace", "--json"]));
    expect(await customersOf(second)).toEqual(before);
    expect(await readdir(second.home)).not.toContain("vault-before-restore.miette");
  },
);

test("a backup of another project is refused", { timeout: PATIENCE, skip: !IS_LONG }, async () => {
  const [data = ""] = (await readdir(backups)).filter((name) => name.endsWith(".data.miette"));
  await second.write({ "miette.yaml": (PROJECT["miette.yaml"] ?? "").replace("name: faults", "name: other") });
  const other = await second.miette(["restore", join(backups, data), "--replace"]);
  expect(other.code).toBe(2);
  expect(other.stderr).toMatch(/the backup is of the project faults, not other/);
});
