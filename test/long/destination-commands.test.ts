import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCommandLine, succeeded, type CommandLine } from "../command.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "../erasure-project.ts";
import { receiveWebhooks, WEBHOOK_SECRET } from "../webhook-receiver.ts";

const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const PATIENCE = 300_000;

describe.runIf(IS_LONG)("destinations by command", () => {
  let commands: CommandLine;
  let crm: Awaited<ReturnType<typeof receiveWebhooks>>;
  const run = async (...args: string[]): Promise<unknown> =>
    JSON.parse(succeeded(await commands.miette([...args, "--json"], environment())).stdout);
  const environment = () => ({ CRM_URL: crm.url, CRM_SECRET: WEBHOOK_SECRET });

  beforeAll(async () => {
    commands = await createCommandLine();
    crm = await receiveWebhooks();
    await writeErasureProject(commands.project);
    await mkdir(join(commands.project, "sql/segments"), { recursive: true });
    await writeFile(
      join(commands.project, "sql/segments/buyers.sql"),
      "-- Customers who have bought.\n-- consent: marketing\nselect customer_id from mart.fct_orders\n",
    );
    await appendFile(
      join(commands.project, "miette.yaml"),
      'destinations:\n  crm: { connector: webhook, fields: { mail: email }, config: { url: "${CRM_URL}", secret: "${CRM_SECRET}" } }\n',
    );
    await writeRows(commands.project, shopRows());
    succeeded(await commands.miette(["up", "--detach"], environment()));
    succeeded(await commands.miette(["run"], environment()));
  }, PATIENCE);
  afterAll(async () => {
    await commands.remove();
    await crm.close();
  }, PATIENCE);

  test(
    "a segment goes to a destination, who withdraws is taken out, and a vendor that has vanished is told by hand of withdrawals and erasures",
    async () => {
      for (const { email } of [CANARY, CONTROL])
        await run("consent", "give", "consent", "--email", email, "--purpose", "marketing", "--jurisdiction", "EU");
      const wrong = await commands.miette(["segment", "hand-over", "buyers", "--to", "crn"], environment());
      expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/--to: is no destination; .* crm\./)]);
      expect(await run("segment", "hand-over", "buyers", "--to", "crm")).toMatchObject({ delivered: 2, removed: 0 });
      expect([...crm.audience.values()].map(({ mail }) => String(mail)).toSorted()).toEqual([
        CANARY.email,
        CONTROL.email,
      ]);
      await run("consent", "withdraw", "consent", "--email", CONTROL.email, "--purpose", "marketing");
      await expect.poll(() => crm.audience.size, { timeout: 60_000 }).toBe(1);

      const file = join(commands.project, "miette.yaml");
      const paper =
        "destinations:\n  crm: { connector: manual, config: { instructions: Write to dpo@vendor.test. } }\n";
      await writeErasureProject(commands.project);
      await appendFile(file, paper);
      const hand = await commands.miette(["segment", "hand-over", "buyers", "--to", "crm"], environment());
      expect([hand.code, hand.stderr]).toEqual([2, expect.stringMatching(/is told by hand/)]);
      await run("consent", "withdraw", "consent", "--email", CANARY.email, "--purpose", "marketing");
      const leaving = async () => await run("segment", "leaving", "crm");
      await expect
        .poll(leaving, { timeout: 60_000, interval: 2_000 })
        .toMatchObject({ audiences: [{ audience: "buyers", people: [{ fields: { mail: [CANARY.email] } }] }] });
      expect(await run("segment", "leaving", "crm", "--done")).toEqual({ destination: "crm", people: 1 });
      expect(await leaving()).toMatchObject({ audiences: [] });
      const { requestId } = (await run("request", "erase", "--email", CANARY.email, "--yes")) as { requestId: string };
      const task = () => commands.miette(["request", "task", requestId, "crm", "--json"], environment());
      await expect.poll(async () => (await task()).code, { timeout: 120_000, interval: 2_000 }).toBe(0);
      expect(JSON.parse((await task()).stdout)).toMatchObject({
        instructions: "Write to dpo@vendor.test.",
        people: [{ fields: { mail: [CANARY.email] } }],
      });
      await run("request", "done", requestId, "crm");
      await expect
        .poll(async () => JSON.stringify(await run("requests")), { timeout: 60_000, interval: 2_000 })
        .toMatch(/"completed"/);
      expect((await task()).code).toBe(2);
    },
    PATIENCE,
  );
});
