import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AlertMessage } from "../domain/alerts.ts";
import { readClock, type Clock } from "../domain/clocks.ts";
import { erasureWorkflowId, requestWorkflow, TASK_QUEUE } from "../domain/ids.ts";
import type { RequestKind } from "../domain/requests.ts";
import { readReceipts } from "../warehouse/receipts.ts";
import { extendRequest, openClocks } from "../warehouse/requests/clocks.ts";
import { answerChallenge, makeChallenge } from "../warehouse/requests/identity.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { addSearchAttributes, openPipeline, silenceWorkers, type Pipeline } from "./pipeline.ts";
import { receiveHttp } from "./receivers.ts";
import { startTimeSkipping } from "./time-skipping.ts";

const DAY = 86_400_000;
const HOUR = 3_600_000;
const MINUTE = 60_000;
/** Milliseconds: months pass in moments, and what runs in them takes its time. */
const PATIENCE = 400_000;

let directory: string;
let time: TestWorkflowEnvironment;
let pipeline: Pipeline;
let channel: Awaited<ReturnType<typeof receiveHttp>>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-clocks-"));
  await writeErasureProject(directory);
  channel = await receiveHttp();
  await appendFile(join(directory, "miette.yaml"), `notify:\n  webhook: { url: "${channel.url}" }\n`);
  await writeRows(directory, shopRows());
  silenceWorkers();
  time = await startTimeSkipping();
  await addSearchAttributes(time.connection, time.namespace ?? "default");
  pipeline = await openPipeline(directory, {}, undefined, {
    temporal: { address: time.address, namespace: time.namespace ?? "default" },
  });
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await channel.close();
  await time.teardown();
  await rm(directory, { recursive: true });
});

const stateOf = async (requestId: string): Promise<string> =>
  (await pipeline.pool.query("select state from privacy.requests where request_id = $1", [requestId])).rows[0].state;

async function ask(
  channelName: string,
  { jurisdiction = "EU", kind = "erasure", email = CANARY.email, notBefore = null as Date | null } = {},
): Promise<string> {
  const { requestId } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind: kind as RequestKind,
    channel: channelName,
    jurisdiction,
    named: { emails: [email], phones: [], ids: [] },
    notBefore,
    actor: "test",
  });
  return requestId;
}
const until = async (moment: number): Promise<void> => time.sleep(Math.max(1, moment - (await time.currentTimeMs())));
const start = (requestId: string, approvedBy: string | null) =>
  pipeline.client.workflow.start("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy }],
  });

/** What the channel was told and is not well again by itself. */
const alerts = (): AlertMessage[] =>
  channel.received
    .map(({ body }) => (JSON.parse(body.toString()) as { data: AlertMessage }).data)
    .filter(({ state }) => state !== "ok");

/** A request's answer has to come by then: what the channel is told of it, and when. */
const answerAlerts = (name: string, { warnings, due }: Clock): [number, string][] => [
  [Date.parse(warnings[0]!), `${name} due`],
  [Date.parse(warnings[1]!), `${name} due_soon`],
  [Date.parse(warnings[2]!), `${name} due_now`],
  [Date.parse(due.at) + 1, `${name} overdue`],
];

test(
  "each law's clock tells its warnings and its end at their moments, and an extension moves them",
  { timeout: PATIENCE },
  async () => {
    const names = new Map<string, string>();
    for (const [name, jurisdiction] of [
      ["eu", "EU"],
      ["extended", "EU"],
      ["uk", "UK"],
      ["california", "US-CA"],
    ] as const) {
      const requestId = await ask("cli", { jurisdiction });
      names.set(requestId, name);
    }
    const idOf = (name: string): string => [...names].find(([, each]) => each === name)![0];
    const extension = { requestId: idOf("extended"), reason: "complexity" as const, toldAt: new Date(), actor: "test" };
    await extendRequest(pipeline.pool, extension, "UTC");
    const clocks = new Map(
      (await openClocks(pipeline.pool, "UTC")).map((each) => [names.get(each.requestId), each] as const),
    );
    for (const requestId of names.keys()) await start(requestId, null);

    const { receivedAt, clock: california } = clocks.get("california")!;
    const confirmedBy = Date.parse(california.acknowledge!.at);
    // Nobody knew who asks until the ninth day.
    const identifiedAt = new Date(receivedAt.getTime() + 9 * DAY);
    const uk = readClock({ jurisdiction: "UK", kind: "erasure", receivedAt, identifiedAt, isExtended: false }, "UTC");
    const expected: [number, string][] = [
      ...answerAlerts("eu", clocks.get("eu")!.clock),
      ...answerAlerts("extended", clocks.get("extended")!.clock),
      ...answerAlerts("california", california),
      ...answerAlerts("uk", uk),
      [Math.ceil((receivedAt.getTime() + confirmedBy) / 2), "california's receipt due"],
      [confirmedBy + 1, "california's receipt overdue"],
    ];
    const expectedBy = (moment: number): string[] =>
      expected.flatMap(([at, what]) => (at <= moment ? [what] : [])).toSorted();
    const told = (): string[] =>
      alerts().map(({ subject, code }) => {
        const [what, id = ""] = subject.split(":");
        return `${names.get(id)}${what === "confirmation" ? "'s receipt" : ""} ${code}`;
      });
    let isIdentified = false;
    const takeBack = async (name: string): Promise<void> => {
      const handle = pipeline.client.workflow.getHandle(erasureWorkflowId(idOf(name)));
      await handle.signal("cancel", "test");
      expect(await handle.result()).toMatchObject({ state: "cancelled" });
    };
    const lastDay = receivedAt.getTime() + 50 * DAY;
    for (const [moment, what] of expected.toSorted(([one], [other]) => one - other)) {
      if (moment > lastDay) break;
      if (!isIdentified && moment > identifiedAt.getTime()) {
        await until(identifiedAt.getTime());
        await pipeline.pool.query(
          "insert into privacy.request_events (request_id, happened_at, actor, event) values ($1, $2, 'test', 'verified')",
          [idOf("uk"), identifiedAt],
        );
        isIdentified = true;
      }
      await until(moment - MINUTE);
      expect(told().toSorted()).toEqual(expectedBy(moment - MINUTE));
      await until(moment + MINUTE);
      await expect.poll(() => told().toSorted(), { timeout: 60_000 }).toEqual(expectedBy(moment + MINUTE));
      // What is overdue is looked at every day, until it is answered.
      if (!what.includes("receipt") && what.endsWith("overdue")) await takeBack(what.split(" ")[0] as string);
    }
    await takeBack("extended");
  },
);

test(
  "an erasure waits for the end of its grace, is looked at again after a day, a full sync and a week, and is then forgotten",
  { timeout: PATIENCE },
  async () => {
    const began = await time.currentTimeMs();
    const requestId = await ask("cli", { email: CONTROL.email, notBefore: new Date(Date.now() + 2 * DAY) });
    const handle = await start(requestId, "test");
    await expect.poll(() => stateOf(requestId), { timeout: 60_000 }).toBe("approved");
    await until(began + 47 * HOUR);
    expect(await stateOf(requestId)).toBe("approved");
    await until(began + 49 * HOUR);
    expect(await handle.result()).toMatchObject({ receipt: 1 });
    const ended = await time.currentTimeMs();
    const occasions = async (): Promise<unknown[]> =>
      (await readReceipts(pipeline.pool, requestId)).map(
        ({ body }) => (JSON.parse(body) as { occasion?: string }).occasion ?? "erasure",
      );
    await until(ended + 23 * HOUR);
    expect(await occasions()).toEqual(["erasure"]);
    await until(ended + 25 * HOUR);
    await expect.poll(occasions, { timeout: 30_000 }).toEqual(["erasure", "after 24 hours"]);
    await pipeline.sync({ source: "shop", full: true });
    await until(ended + 3 * DAY);
    await expect.poll(async () => (await occasions()).at(-1), { timeout: 30_000 }).toBe("after a full sync of shop");
    const sealed = async (): Promise<unknown> =>
      (await pipeline.pool.query("select scope from privacy.requests where request_id = $1", [requestId])).rows[0]
        .scope;
    expect(await sealed()).not.toBeNull();
    await until(ended + 7 * DAY + HOUR);
    await expect.poll(async () => (await occasions()).at(-1), { timeout: 30_000 }).toBe("after 7 days");
    await expect.poll(sealed, { timeout: 30_000 }).toBeNull();
    expect(await occasions()).toHaveLength(4);
  },
);

test(
  "a plan that is approved on the last day of its grace may still be cancelled, and an archive that nobody takes is gone after 30 days",
  { timeout: PATIENCE },
  async () => {
    const began = await time.currentTimeMs();
    const cancelled = await ask("cli", { notBefore: new Date(Date.now() + 2 * DAY) });
    const waiting = await start(cancelled, "test");
    const archive = await ask("cli", { kind: "access" });
    const { type, workflowId } = requestWorkflow("access", archive);
    const input = { requestId: archive, actor: "test", approvedBy: "test" };
    const access = await pipeline.client.workflow.start(type, { workflowId, taskQueue: TASK_QUEUE, args: [input] });
    expect(await access.result()).toMatchObject({ state: "completed" });
    const archives = async (): Promise<number> =>
      (await pipeline.pool.query("select from privacy.archives where request_id = $1", [archive])).rowCount ?? 0;
    await until(began + 47 * HOUR);
    await waiting.signal("cancel", "test");
    expect(await waiting.result()).toMatchObject({ state: "cancelled" });
    await until(began + 29 * DAY);
    expect(await archives()).toBe(1);
    await until((await time.currentTimeMs()) + 2 * DAY);
    await expect.poll(archives, { timeout: 30_000 }).toBe(0);
  },
);

test("an identity that nobody shows in two weeks lets the request expire, and one that is shown in time lets it go on", async () => {
  const [silent, shown] = [await ask("api"), await ask("api")];
  const [waiting, going] = [await start(silent, null), await start(shown, null)];
  const codes = "select codes from privacy.identity_checks where request_id = $1";
  await expect.poll(async () => (await pipeline.pool.query(codes, [shown])).rowCount, { timeout: 20_000 }).toBe(1);
  const { code } = await makeChallenge(pipeline.pool, pipeline.vault, shown, "test");
  expect(await answerChallenge(pipeline.pool, silent, code, "api")).toBe(false);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(true);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(false);
  // The signal is lost: what was shown in time counts all the same.
  await time.sleep(13 * DAY);
  expect(await stateOf(silent)).toBe("received");
  await time.sleep(2 * DAY);
  expect(await waiting.result()).toMatchObject({ state: "expired", receipt: null });
  await expect.poll(() => stateOf(shown), { timeout: 60_000 }).toBe("planned");
  await going.signal("cancel", "test");
  expect(await going.result()).toMatchObject({ state: "cancelled" });
  const { rows } = await pipeline.pool.query("select sealed from privacy.requests where request_id = any($1)", [
    [silent, shown],
  ]);
  expect(rows).toEqual([{ sealed: null }, { sealed: null }]);
});

test("a worker that was down when a request fell due tells it as it comes back", { timeout: PATIENCE }, async () => {
  const requestId = await ask("cli");
  const ahead = (await time.currentTimeMs()) - Date.now();
  await pipeline.pool.query(
    "update privacy.requests set received_at = now() + $2 * interval '1 ms' where request_id = $1",
    [requestId, ahead],
  );
  const [open] = await openClocks(pipeline.pool, "UTC", requestId);
  const due = Date.parse(open!.clock.due.at);
  const handle = await start(requestId, null);
  const codes = (): string[] =>
    alerts().flatMap(({ subject, code }) => (subject === `request:${requestId}` ? [code] : []));
  await until(due - MINUTE);
  expect(codes()).toEqual(["due", "due_soon", "due_now"]);
  // The server's time goes on to the moment, and no further before somebody has taken up what is due then.
  const passed = until(due + MINUTE);
  await pipeline.withoutWorker(() => sleep(2_000));
  await passed;
  await expect.poll(codes, { timeout: 120_000 }).toEqual(["due", "due_soon", "due_now", "overdue"]);
  await handle.signal("cancel", "test");
  expect(await handle.result()).toMatchObject({ state: "cancelled" });
});
