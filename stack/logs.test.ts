import { readFile, stat, truncate } from "node:fs/promises";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { boundLogs, openLog } from "./logs.ts";

test("a log that has grown too large is set aside while its server writes on, and is readable by its owner alone", async () => {
  const folder = join(await temporaryHome(), "logs");
  const log = await openLog(folder, "worker.log");
  await truncate(log.path, 16 * 1024 * 1024);
  writeSync(log.fd, "before\n");
  await boundLogs(folder);
  writeSync(log.fd, "after\n");
  await log.close();
  expect(await readFile(log.path, "utf8")).toBe("after\n");
  expect((await readFile(`${log.path}.1`)).subarray(-7).toString()).toBe("before\n");
  for (const path of [log.path, `${log.path}.1`]) expect((await stat(path)).mode & 0o077).toBe(0);
});
