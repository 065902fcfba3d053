import { afterAll, beforeAll, expect, test } from "vitest";
import { createCommandLine, succeeded, type CommandLine } from "../command.ts";
import { PROJECT } from "../faults-project.ts";
import { customersOf, FIVE_CUSTOMERS } from "../five-customers.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const PATIENCE = 600_000;
let first: CommandLine;

beforeAll(async () => {
  if (!IS_LONG) return;
  first = await createCommandLine();
  await first.write({ ...PROJECT, ...FIVE_CUSTOMERS });
  succeeded(await first.miette(["up", "--detach"]));
  succeeded(await first.miette(["run", "--json"]));
}, PATIENCE);
afterAll(async () => {
  if (IS_LONG) await first.remove();
}, PATIENCE);

test(
  "who is who is asked and decided by commands, each a process of its own",
  { timeout: PATIENCE, skip: !IS_LONG },
  async () => {
    const identity = (...args: string[]) => first.miette(["identity", ...args]);
    const told = async <T>(...args: string[]) =>
      JSON.parse(succeeded(await identity(...args, "--json")).stdout.trim()) as T;
    const known = ((await customersOf(first)) as { rows: [string, boolean][] }).rows.filter(
      ([, isAnonymous]) => !isAnonymous,
    );
    const [one, two] = known.map(([id]) => id) as [string, string];

    expect(succeeded(await identity("why", one)).stdout).toMatch(
      new RegExp(`^Customer ${one}, kept with customer_id_\\S+\n[^]*email_\\S+[^]*record [0-9a-f-]{36}`),
    );
    // Of attributes only those that records decide are told, of which none is personal, and of a sensitive one no value.
    expect(succeeded(await identity("why", one, "--attribute", "country")).stdout).toMatch(/won\s+FR\s+shop/);
    for (const attribute of ["email", "email_token", "full_name", "customer_ref", "note"]) {
      const { code, stdout, stderr } = await identity("why", one, "--attribute", attribute, "--json");
      expect([code, stdout, stderr]).toEqual([2, "", expect.stringMatching(/is no attribute that records decide/)]);
    }
    const schema = PROJECT["schemas/customers.yaml"] ?? "";
    const sensitive = schema.replace("country: { type: string }", "country: { type: string, sensitive: ethnicity }");
    expect(sensitive).not.toBe(schema);
    await first.write({ "schemas/customers.yaml": sensitive });
    for (const format of [[], ["--json"]]) {
      const { stdout, stderr } = await identity("why", one, "--attribute", "country", ...format);
      expect(stdout + stderr).toMatch(/ethnicity/);
      expect(stdout + stderr).not.toMatch(/\bFR\b/);
    }
    await first.write({ "schemas/customers.yaml": schema });
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
    expect(((await customersOf(first)) as { rows: [string, boolean][] }).rows.filter(([, no]) => !no)).toEqual(known);

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
  },
);
