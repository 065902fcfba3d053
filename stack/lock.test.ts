import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { claimLock } from "./lock.ts";
import { identifyProcess } from "./process.ts";

test("a lock is one process's until it is given back", async () => {
  const folder = await temporaryHome();
  const release = await claimLock(folder);
  expect(release).not.toBeNull();
  expect(await claimLock(folder)).toBeNull();
  await release!();
  expect(await claimLock(folder)).not.toBeNull();
  expect(await readdir(folder)).toEqual(["lock.2"]);
});

test("of many that find a dead holder, one takes over, whenever it comes", async () => {
  for (let round = 0; round < 50; round++) {
    const folder = await temporaryHome();
    const left = round % 2 === 0 ? { pid: 2147483646, started: "long ago" } : { pid: process.pid, started: "long ago" };
    await writeFile(join(folder, "lock.1"), JSON.stringify(left));
    const claims = await Promise.all(Array.from({ length: 20 }, () => claimLock(folder)));
    const late = await claimLock(folder);
    expect([...claims, late].filter((claim) => claim !== null).length).toBeLessThanOrEqual(1);
    // All may have stepped back for one another; then the lock is free, and the next one gets it.
    if (claims.every((claim) => claim === null)) expect(late).not.toBeNull();
  }
});

test("a lock of a killed process is free", async () => {
  const folder = await temporaryHome();
  const script = `
    const { claimLock } = await import(${JSON.stringify(new URL("lock.ts", import.meta.url).href)});
    console.log(await claimLock(${JSON.stringify(folder)}) !== null);
    setInterval(() => {}, 1e6);`;
  const holder = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
  const [answer] = (await once(holder.stdout, "data")) as [Buffer];
  expect(answer.toString().trim()).toBe("true");
  expect(await claimLock(folder)).toBeNull();
  expect(identifyProcess(holder.pid!)).toEqual({ pid: holder.pid, started: expect.any(String) });
  holder.kill("SIGKILL");
  await once(holder, "exit");
  expect(await claimLock(folder)).not.toBeNull();
});
