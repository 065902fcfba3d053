import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../stack/ports.ts";
import { createCommandLine, succeeded, type CommandLine } from "./command.ts";

let commands: CommandLine;
let place: string;

beforeAll(async () => {
  commands = await createCommandLine();
  place = `127.0.0.1:${await freePort()}/shop`;
  await commands.write({
    "miette.yaml": `name: unreachable
currency: EUR
time_zone: UTC
sources:
  shop:
    connector: postgres
    config: { url: "postgres://reader:secret@${place}" }
    streams:
      orders: { key: [id], schema: schemas/orders.yaml }
`,
    "schemas/orders.yaml": "type: object\nproperties:\n  id: { type: integer }\n",
  });
  succeeded(await commands.miette(["up", "--detach"]));
}, 120_000);
afterAll(() => commands.remove(), 60_000);

test("a run whose source is away says at once which, and status says it too", { timeout: 120_000 }, async () => {
  const running = commands.miette(["run", "--json"]);
  await expect
    .poll(
      async () => {
        const { stdout } = succeeded(await commands.miette(["status", "--json"]));
        return (JSON.parse(stdout) as { waiting: { workflowId: string; reason: string }[] }).waiting;
      },
      { timeout: 60_000 },
    )
    .toMatchObject([{ workflowId: "sync:shop", reason: expect.stringContaining(place) }]);
  expect((await commands.miette(["status"])).stdout).toContain(`sync:shop waits, and tries again: `);

  // Whoever waits for a run hears of the end of the servers.
  succeeded(await commands.miette(["down"]));
  const { code, stderr } = await running;
  expect(code).toBe(1);
  expect(stderr.split("\n").filter((line) => line.includes(place))).toEqual([
    expect.stringMatching(/^sync:shop waits, and tries again: /),
  ]);
  expect(stderr).toContain("the servers were stopped by another command");
  expect(stderr).not.toContain("secret");
});
