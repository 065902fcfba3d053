import { setTimeout as sleep } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { Context } from "@temporalio/activity";
import { NativeConnection, Worker } from "@temporalio/worker";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { boundedAttempts } from "./attempts.ts";

/** How each attempt of an activity ends, from the first. */
type Script = ("warehouse_unavailable" | "source_unavailable" | "hangs" | "works")[];

const TASK_QUEUE = "attempts";
let worker: Worker;
let running: Promise<void>;
let connections: [NativeConnection, Connection];
let client: Client;

beforeAll(async () => {
  const address = inject("temporalAddress");
  connections = [await NativeConnection.connect({ address }), await Connection.connect({ address })];
  client = new Client({ connection: connections[1] });
  worker = await Worker.create({
    connection: connections[0],
    taskQueue: TASK_QUEUE,
    interceptors: { activity: [boundedAttempts] },
    activities: {
      async follow(script: Script): Promise<number> {
        const { attempt } = Context.current().info;
        const end = script[attempt - 1] ?? script.at(-1);
        // Longer than the server waits for it.
        if (end === "hangs") await sleep(1_500);
        else if (end !== "works") throw ApplicationFailure.retryable("it is away", end);
        return attempt;
      },
    },
    shutdownForceTime: "1s",
  });
  running = worker.run();
});
afterAll(async () => {
  worker.shutdown();
  await running;
  await Promise.all(connections.map((connection) => connection.close()));
});

/** @returns the attempt that worked, or the code with which it ended */
async function follow(id: string, script: Script): Promise<number | string> {
  try {
    const work = client.activity.execute("follow", {
      id,
      taskQueue: TASK_QUEUE,
      args: [script],
      startToCloseTimeout: "1s",
      heartbeatTimeout: "20s",
      retry: { initialInterval: "10ms", backoffCoefficient: 1 },
    });
    return (await work) as number;
  } catch (error) {
    for (let each: unknown = error; each instanceof Error; each = each.cause) {
      if (each instanceof ApplicationFailure) return each.type ?? "";
    }
    throw error;
  }
}

const times = (count: number, end: Script[number]): Script => Array<Script[number]>(count).fill(end);

test.concurrent("a warehouse that is away is waited for, however many attempts that takes", async () => {
  expect(await follow("outage", [...times(11, "warehouse_unavailable"), "works"])).toBe(12);
});

test.concurrent("anything else that may pass is tried eight times", async () => {
  expect(await follow("passing", [...times(7, "source_unavailable"), "works"])).toBe(8);
  expect(await follow("lasting", times(1, "source_unavailable"))).toBe("source_unavailable");
});

test.concurrent("attempts that found the warehouse away take none of them", async () => {
  const script: Script = [...times(3, "warehouse_unavailable"), ...times(6, "source_unavailable")];
  const later: Script = [...times(3, "warehouse_unavailable"), "source_unavailable", "works"];
  expect(await follow("both", [...script, ...later])).toBe(14);
});

test.concurrent("an activity that takes its workers with it ends, and says so", async () => {
  expect(await follow("deadly", times(1, "hangs"))).toBe("worker_lost");
});
