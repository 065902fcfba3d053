import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCommandLine, succeeded, type CommandLine } from "./command.ts";
import { PROJECT } from "./faults-project.ts";

/** Two machines: what the first has backed up is restored on the second. */
const PATIENCE = 600_000;
let first: CommandLine;
let second: CommandLine;
let backups: string;

const jsonl = (records: object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const numbers = [1, 2, 3, 4, 5];
const DATA = {
  "data/customers.jsonl": jsonl(
    numbers.map((id) => ({ id, email: `c${id}@example.org`, full_name: `Ann ${id}`, country: "FR", revision: 1 })),
  ),
  "data/orders.jsonl": jsonl(
    numbers.map((id) => ({
      id,
      customer_id: id,
      ordered_at: "2026-01-01T00:00:00Z",
      amount: id,
      note: "n",
      revision: 1,
    })),
  ),
  "data/order_lines.jsonl": jsonl(numbers.map((id) => ({ order_id: id, line: 1, amount: id, revision: 1 }))),
  "data/visits-1.jsonl": jsonl(
    numbers.map((visit) => ({ visit, device_id: `d${visit}`, visited_at: "2026-01-01T00:00:00Z" })),
  ),
};

beforeAll(async () => {
  [first, second] = [await createCommandLine(), await createCommandLine()];
  for (const each of [first, second]) await each.write({ ...PROJECT, ...DATA });
  backups = join(second.project, "..", "copies");
}, PATIENCE);

afterAll(async () => {
  await first.remove();
  await second.remove();
}, PATIENCE);

const customers = async (on: CommandLine): Promise<unknown> =>
  JSON.parse(
    succeeded(
      await on.miette([
        "query",
        "select c.customer_id, c.is_anonymous, c.country, h.valid::text, o.amount from mart.dim_customers c join mart.dim_customer_history h using (customer_id) left join mart.fct_orders o using (customer_id) order by 1",
        "--json",
      ]),
    ).stdout,
  );

test("a backup of one machine is the same mart on another", { timeout: PATIENCE }, async () => {
  succeeded(await first.miette(["up", "--detach"]));
  succeeded(await first.miette(["run", "--json"]));
  const said = succeeded(await first.miette(["backup", backups, "--vault", join(backups, "vault")])).stdout;
  expect(said).toMatch(/The keys \(files in .*keys\) are not in it/);
  expect(said).toMatch(/schedules come back with miette schedules apply/);
  const [vault = ""] = await readdir(join(backups, "vault"));
  expect(vault).toMatch(/^faults-\d{8}T\d{6}\.\d{6}Z\.vault\.miette$/);
  expect((await readdir(backups)).toSorted()).toEqual([vault.replace(".vault.", ".data."), "vault"].toSorted());

  const before = await customers(first);
  succeeded(await first.miette(["down"]));

  const restore = ["restore", backups, "--vault", join(backups, "vault")];
  const withoutKeys = await second.miette(restore);
  expect(withoutKeys).toMatchObject({ code: 2, stdout: "" });
  expect(withoutKeys.stderr).toMatch(/the key file is missing/);

  await cp(join(first.home, "keys"), join(second.home, "keys"), { recursive: true });
  expect(succeeded(await second.miette(restore)).stdout).toMatch(/^Restored, and the mart is built\./m);
  expect(await customers(second)).toEqual(before);

  const again = await second.miette(restore.slice(0, 2));
  expect(again).toMatchObject({ code: 2, stdout: "" });
  expect(again.stderr).toMatch(/this warehouse is not empty; --replace drops what it holds/);
});

test("a living warehouse goes back with its own vault, and takes no file's", { timeout: PATIENCE }, async () => {
  const before = await customers(second);
  const withVault = await second.miette(["restore", backups, "--vault", join(backups, "vault"), "--replace"]);
  expect(withVault.code).toBe(2);
  expect(withVault.stderr).toMatch(/has a vault of its own, which is the newest; leave --vault out/);
  succeeded(await second.miette(["restore", backups, "--replace", "--json"]));
  expect(await customers(second)).toEqual(before);
  expect(await readdir(second.home)).not.toContain("vault-before-restore.miette");
});

test("a backup of another project is refused", { timeout: PATIENCE }, async () => {
  const [data = ""] = (await readdir(backups)).filter((name) => name.endsWith(".data.miette"));
  await second.write({ "miette.yaml": (PROJECT["miette.yaml"] ?? "").replace("name: faults", "name: other") });
  const other = await second.miette(["restore", join(backups, data), "--replace"]);
  expect(other.code).toBe(2);
  expect(other.stderr).toMatch(/the backup is of the project faults, not other/);
});

/** The commands of identity as a person has them; it shares the first machine, whose mart stands. */
test("who is who is asked and decided by commands, each a process of its own", { timeout: PATIENCE }, async () => {
  succeeded(await first.miette(["up", "--detach"]));
  const identity = (...args: string[]) => first.miette(["identity", ...args]);
  const told = async <T>(...args: string[]) =>
    JSON.parse(succeeded(await identity(...args, "--json")).stdout.trim()) as T;
  const known = ((await customers(first)) as { rows: [string, boolean][] }).rows.filter(
    ([, isAnonymous]) => !isAnonymous,
  );
  const [one, two] = known.map(([id]) => id) as [string, string];

  expect(succeeded(await identity("why", one)).stdout).toMatch(
    new RegExp(`^Customer ${one}, kept with customer_id_\\S+\n[^]*email_\\S+[^]*record [0-9a-f-]{36}`),
  );
  expect(await told("conflicts")).toEqual({ total: 0, conflicts: [] });
  expect(succeeded(await identity("merge", one, two, "--purpose", "they called")).stdout).toMatch(/Done: \d+ rows/);
  const graph = succeeded(await identity("graph", two)).stdout;
  expect(graph).toMatch(/was also [0-9a-f-]{36}/);
  expect(graph).not.toMatch(/@example\.org|Ann/);
  const { links } = await told<{ links: { strongerToken: string; weakerToken: string; recordKey: string | null }[] }>(
    "why",
    one,
  );
  const byHand = links.find(({ recordKey }) => recordKey === null)!;
  succeeded(await identity("split", byHand.strongerToken, byHand.weakerToken));
  expect(((await customers(first)) as { rows: [string, boolean][] }).rows.filter(([, no]) => !no)).toEqual(known);

  const rules = PROJECT["miette.yaml"] ?? "";
  await first.write({ "miette.yaml": rules.replace("kind: customer_id, limit: 1", "kind: customer_id, limit: 2") });
  expect(succeeded(await identity("plan", "--apply")).stdout).toMatch(
    /0 orders of 0 EUR\.\n[^]*Waits for miette identity/,
  );
  await expect.poll(async () => (await told<{ held: object }>("plan")).held).toMatchObject({ status: "waiting" });
  expect(succeeded(await identity("refuse")).stdout).toBe("Refused; the rules before stay in force.\n");
  for (const [args, sentence] of [
    [["approve"], /^no rules wait for approval; run "miette identity plan --apply" first\.\n$/],
    [["why", "nobody"], /^there is no customer nobody[^\n]*\n$/],
    [["split", byHand.strongerToken, byHand.strongerToken], /^there is no link between[^\n]*\n$/],
  ] as [string[], RegExp][]) {
    const { code, stdout, stderr } = await identity(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(sentence);
  }
});
