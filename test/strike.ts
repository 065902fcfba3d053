import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { stackStatus, type ServiceStatus } from "../stack/stack.ts";
import type { CommandLine, Ended } from "./command.ts";

/** A signal that a server or the worker of a home gets. */
export interface Fault {
  victim: "worker" | "Postgres" | "Temporal";
  signal: NodeJS.Signals;
}

/** Waits until the moment has come while a command runs. @param moment null before it has come */
export async function momentOf<T>(running: Promise<Ended>, moment: () => Promise<T | null>): Promise<T> {
  let ended: Ended | undefined;
  void running.then((how) => (ended = how));
  for (;;) {
    const come = await moment();
    if (come !== null) return come;
    if (ended) throw new Error(`the command ended before the moment: ${JSON.stringify(ended)}`);
    await sleep(5);
  }
}

/**
 * Strikes the victim `delay` ms after the moment has come, and waits until it runs again.
 * @param moment null before it has come, and after it has passed
 * @returns what `moment` gave right before the fault
 */
export async function strike<T>(
  { victim, signal }: Fault,
  { home }: CommandLine,
  running: Promise<Ended>,
  delay: number,
  moment: () => Promise<T | null>,
): Promise<T> {
  await momentOf(running, moment);
  const before = await serviceOf(home, victim);
  await sleep(delay);
  const come = await moment();
  process.kill(before.pid, signal);
  if (come === null) throw new Error(`the moment had passed within ${delay} ms`);
  await expect
    .poll(async () => (await serviceOf(home, victim)).restarts, { timeout: 60_000 })
    .toBe(before.restarts + 1);
  return come;
}

/** One of the programs that the home's supervisor keeps up. */
export async function serviceOf(home: string, name: string): Promise<ServiceStatus> {
  const status = await stackStatus(home);
  return status!.services.find((service) => service.name.startsWith(name))!;
}
