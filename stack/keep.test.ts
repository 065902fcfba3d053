import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { keepRunning } from "./keep.ts";
import { endProcess, exitOf, identifyProcess, type RunningServer } from "./process.ts";

async function start(command: string, args: string[]): Promise<RunningServer> {
  const child = spawn(command, args, { detached: true, stdio: "ignore" });
  const exited = exitOf(child);
  const identity = identifyProcess(child.pid!)!;
  const end = [["SIGTERM", 200]] as const;
  return { identity, end, exited, stop: () => endProcess(identity, end) };
}

test("a server that dies at once is started again ever more rarely", async () => {
  const starts: number[] = [];
  const lines: string[] = [];
  const kept = await keepRunning(
    "The server",
    async () => {
      starts.push(Date.now());
      return await start("/bin/sh", ["-c", "sleep 0.05; exit 4"]);
    },
    (line) => lines.push(line),
  );
  await sleep(3_000);
  await kept.stop();
  // 0.2, 0.4, 0.8, 1.6 s apart.
  expect(starts.length).toBeGreaterThanOrEqual(3);
  expect(starts.length).toBeLessThanOrEqual(5);
  expect(lines[0]).toBe("The server ended with exit code 4; it is started again.");
  const count = starts.length;
  await sleep(2_000);
  expect(starts.length).toBe(count);
});

test("a server that could not be started again is tried until it can, and the error is said", async () => {
  let attempts = 0;
  const lines: string[] = [];
  const kept = await keepRunning(
    "The server",
    async () => {
      if (++attempts === 2) throw new Error("the port is taken");
      return await start("sleep", ["60"]);
    },
    (line) => lines.push(line),
  );
  const first = kept.current();
  process.kill(first.identity.pid, "SIGKILL");
  await expect.poll(() => kept.restarts(), { timeout: 10_000 }).toBe(1);
  expect(lines).toEqual([
    "The server ended with signal SIGKILL; it is started again.",
    "The server could not be started again: the port is taken",
    "The server runs again.",
  ]);
  expect(kept.current()).not.toBe(first);
  await kept.stop();
  expect(identifyProcess(kept.current().identity.pid)).toBeNull();
});

test("a server that ignores the request to end is killed with its children", async () => {
  const script = "trap '' TERM; sleep 61 & echo; wait; wait";
  const kept = await keepRunning(
    "The server",
    () => start("/bin/sh", ["-c", script]),
    () => undefined,
  );
  await sleep(200);
  await kept.stop();
  expect(identifyProcess(kept.current().identity.pid)).toBeNull();
});

test("the first start's error is thrown", async () => {
  const failing = keepRunning(
    "The server",
    () => Promise.reject(new Error("no such program")),
    () => undefined,
  );
  await expect(failing).rejects.toThrow("no such program");
});

test("a server that is stopped while it is started again ends all the same", async () => {
  let tellStarting = (): void => undefined;
  const starting = new Promise<void>((resolve) => (tellStarting = resolve));
  let attempts = 0;
  const kept = await keepRunning(
    "The server",
    async () => {
      if (++attempts === 2) {
        tellStarting();
        await sleep(500);
      }
      return await start("sleep", ["60"]);
    },
    () => undefined,
  );
  process.kill(kept.current().identity.pid, "SIGKILL");
  await starting;
  await kept.stop();
  expect(attempts).toBe(2);
  expect(identifyProcess(kept.current().identity.pid)).toBeNull();
});
