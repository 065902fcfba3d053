import { execFileSync } from "node:child_process";
import { mkdir, readFile, rename, rm, statfs, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPool } from "../warehouse/database.ts";
import { type CommandLine, createCommandLine, succeeded } from "./command.ts";
import { dataOfRound, PROJECT, rawAfter } from "./faults-project.ts";

const PATIENCE = 600_000;
/** Room on the disk when the sync begins, in bytes: far less than the records and their log need. */
const LEFT = 8 << 20;
const SIZE = process.env["MIETTE_TEST_LONG"] ? "2g" : "600m";

let commands: CommandLine;
let disk: string;
let isMounted = false;

beforeAll(async () => {
  commands = await createCommandLine();
  disk = join(commands.project, "..", "disk");
  await mkdir(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "miette-test", disk], { stdio: "pipe" });
    isMounted = true;
  } catch {
    console.warn("skipped: a full disk needs a file system of its own, and this account may not mount one");
  }
}, PATIENCE);
afterAll(async () => {
  await commands.miette(["down"]);
  if (isMounted) execFileSync("umount", ["-l", disk]);
  await commands.remove();
}, PATIENCE);

test(
  "a sync onto a full disk says so, and goes on once there is room: nothing is lost or doubled",
  { timeout: PATIENCE },
  async ({ skip }) => {
    if (!isMounted) skip();
    await commands.write({ ...PROJECT, ...dataOfRound(1) });
    succeeded(await commands.miette(["status"]));
    // The warehouse moves to the small disk.
    const data = join(commands.home, "postgres");
    execFileSync("cp", ["-a", `${data}/.`, join(disk, "postgres")]);
    await rename(data, `${data}.before`);
    await symlink(join(disk, "postgres"), data);
    succeeded(await commands.miette(["up", "--detach"]));
    const pool = openPool(await commands.warehouseUrl(), { max: 1, name: "test" });

    const { bavail, bsize } = await statfs(disk);
    const ballast = join(disk, "ballast");
    await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - LEFT)));
    const running = commands.miette(["sync", "shop", "--json"]);
    // An attempt that finds no room says so in the log, and the command soon after.
    const log = (): Promise<string> => readFile(join(commands.home, "logs", "worker.log"), "utf8");
    await expect.poll(log, { timeout: 300_000, interval: 500 }).toContain('"code":"warehouse_unavailable"');
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    await rm(ballast);

    const { stderr } = succeeded(await running);
    expect(stderr).toMatch(/sync:shop waits, and tries again: the warehouse/);
    const { rows } = await pool.query(
      `select (select count(*)::integer from raw.shop__customers) as customers, (select count(*)::integer from raw.shop__orders) as orders,
       (select sum(amount)::text from raw.shop__orders) as amount, (select sum(amount)::text from raw.shop__order_lines) as lines,
       (select count(*)::integer from raw.shop__visits) as visits, (select count(*)::integer from ops.quarantine) as quarantined`,
    );
    await pool.end();
    const truth = rawAfter(1);
    expect(rows).toEqual([
      {
        customers: truth.customers.rows,
        orders: truth.orders.rows,
        amount: truth.orders.amount,
        lines: truth.orderLines.amount,
        visits: truth.visits.rows,
        quarantined: truth.quarantined,
      },
    ]);
  },
);
