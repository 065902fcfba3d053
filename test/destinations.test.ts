import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { DeliveryReport } from "../domain/destinations.ts";
import { applySchedules } from "../cli/schedules.ts";
import { deliveryWorkflowId, erasureWorkflowId, REVOKE_DELIVERIES, TASK_QUEUE } from "../domain/ids.ts";
import type { ErasureReport } from "../domain/requests.ts";
import { claimDeliveries } from "../warehouse/activation/claim.ts";
import { finishLeaving, openLeaving } from "../warehouse/activation/leaving.ts";
import { prepareSend } from "../warehouse/activation/send.ts";
import { readReceipts } from "../warehouse/receipts.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { readSubject } from "../warehouse/requests/subject.ts";
import { CANARY, CONTROL, shopRows, writeBuyersTo, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { say } from "./say.ts";
import { receiveWebhooks, WEBHOOK_SECRET } from "./webhook-receiver.ts";

let directory: string;
let pipeline: Pipeline;
let crm: Awaited<ReturnType<typeof receiveWebhooks>>;
const PEOPLE = 32;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-destinations-"));
  crm = await receiveWebhooks();
  await writeErasureProject(directory);
  await writeBuyersTo(directory, crm.url);
  await appendFile(
    join(directory, "miette.yaml"),
    "  files:\n    connector: csv\n    fields: { email: email }\n    config: { directory: outbox }\n",
  );
  await writeRows(directory, shopRows());
  pipeline = await openPipeline(directory);
  await pipeline.run();
  for (const { email } of [
    CANARY,
    CONTROL,
    ...Array.from({ length: 30 }, (_, i) => ({ email: `c${100 + i}@crowd.test` })),
  ]) {
    await say(pipeline, email, { occurredAt: new Date("2026-01-01T00:00:00Z") });
  }
});
afterAll(async () => {
  await pipeline.close();
  await crm.close();
  await rm(directory, { recursive: true });
});
beforeEach(() => crm.behave(() => 200));

const handOver = (destination = "crm"): Promise<DeliveryReport> =>
  pipeline.client.workflow.execute("deliverAudience", {
    workflowId: deliveryWorkflowId(destination, "buyers"),
    taskQueue: TASK_QUEUE,
    args: [{ segment: "buyers", destination, actor: "test" }],
  }) as Promise<DeliveryReport>;
const revoke = async (): Promise<unknown> => {
  const handle = await pipeline.client.workflow.signalWithStart("revokeDeliveries", REVOKE_DELIVERIES);
  return await handle.result();
};
const emails = () => [...crm.audience.values()].flatMap((member) => member["email_address"] as string[]).toSorted();
const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await pipeline.pool.query(sql, values)).rows;

test("who allows the purpose is delivered once, under a pseudonym of the destination's own; what changes follows", async () => {
  crm.behave((_call, number) => ([503, 429, "half"] as const)[number] ?? 200);
  expect(await handOver()).toEqual({ delivered: PEOPLE, removed: 0, excluded: 0 });
  // Refused, asked for patience, broken off after it had its effect, and then again: one effect, and the very same call.
  expect(new Set(crm.calls.map(({ key, text }) => `${key} ${text}`)).size).toBe(1);
  expect(crm.calls).toHaveLength(4);
  expect(crm.effects).toEqual(["audience.deliver"]);
  expect(emails()).toContain(CANARY.email);
  expect(crm.audience.size).toBe(PEOPLE);
  expect(await handOver()).toEqual({ delivered: 0, removed: 0, excluded: 0 });
  expect(crm.calls).toHaveLength(4);

  await say(pipeline, "c100@crowd.test", { isGiven: false });
  await say(pipeline, "c101@crowd.test", { choice: "opt_out", purpose: "sale" });
  await say(pipeline, "c102@crowd.test", { choice: "objection", purpose: "analytics" });
  expect(await revoke()).toEqual({ removed: 2, byHand: 0, failed: 0 });
  expect(crm.audience.size).toBe(PEOPLE - 2);
  expect(emails()).not.toContain("c100@crowd.test");
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
  expect(await handOver()).toEqual({ delivered: 0, removed: 0, excluded: 2 });
  await say(pipeline, "c100@crowd.test", {});
  expect(await handOver()).toEqual({ delivered: 1, removed: 0, excluded: 1 });
  expect(await rowsOf("select distinct state from privacy.recipients")).toEqual([{ state: "done" }]);
});

test("a worker that dies between its call and its note sends the same again, unless somebody has withdrawn meanwhile", async () => {
  const project = await pipeline.project();
  const declared = project.destinations.find(({ name }) => name === "crm")!;
  const forget = (email: string) => say(pipeline, email, { isGiven: false });
  await forget("c103@crowd.test");
  await forget("c104@crowd.test");
  await revoke();
  await say(pipeline, "c103@crowd.test", {});
  await say(pipeline, "c104@crowd.test", {});
  const { deliveries } = await claimDeliveries(
    pipeline.pool,
    declared,
    { segment: "buyers", purpose: "marketing" },
    "test",
  );
  // As far as a worker comes that is killed while its call is under way.
  const first = await prepareSend(pipeline.pool, pipeline.vault, declared, deliveries[0]!);
  expect("people" in first && first.people).toHaveLength(2);
  const again = await prepareSend(pipeline.pool, pipeline.vault, declared, deliveries[0]!);
  expect("people" in again && [again.batch.deliveryId, again.batch.madeAt, again.people]).toEqual(
    "people" in first && [first.batch.deliveryId, first.batch.madeAt, first.people],
  );
  await forget("c104@crowd.test");
  const before = crm.calls.length;
  await handOver();
  const [call, ...more] = crm.calls.slice(before);
  expect(call!.key).not.toBe(deliveries[0]);
  expect(call!.members.map((member) => member["email_address"])).toEqual([["c103@crowd.test"]]);
  // Her name may have left: she is taken out, after the others are in.
  expect(more.map(({ type, members }) => [type, members.length])).toEqual([["audience.remove", 1]]);
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
});

test("what a receiver refuses for good is told, and tried anew by the next hand-over; who withdraws between is not sent", async () => {
  await say(pipeline, "c105@crowd.test", { isGiven: false });
  await revoke();
  await say(pipeline, "c105@crowd.test", {});
  crm.behave(() => 400);
  await expect(handOver()).rejects.toMatchObject({ cause: { cause: { type: "source_rejected" } } });
  crm.behave(() => 302);
  await expect(handOver()).rejects.toMatchObject({ cause: { cause: { type: "source_rejected" } } });
  crm.behave(() => 200);
  expect(await handOver()).toMatchObject({ delivered: 1 });
});

test("a consent that expires is revoked by the daily look, without a build or a word of anybody's", async () => {
  const expiresAt = new Date(Date.now() + 2_000);
  await say(pipeline, "c106@crowd.test", { expiresAt });
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
  expect(emails()).toContain("c106@crowd.test");
  await setTimeout(expiresAt.getTime() - Date.now());
  expect(await applySchedules(pipeline.client, await pipeline.project())).toMatchObject({
    created: expect.arrayContaining(["revocations"]) as string[],
  });
  // A project whose last destination is gone still has people there.
  expect((await applySchedules(pipeline.client, { ...(await pipeline.project()), destinations: [] })).deleted).toEqual(
    [],
  );
  const schedule = pipeline.client.schedule.getHandle("revocations");
  const { spec, policies } = await schedule.describe();
  expect(spec.calendars).toMatchObject([{ hour: [{ start: 0 }], minute: [{ start: 5 }] }]);
  expect([policies.overlap, policies.catchupWindow]).toEqual(["SKIP", 86_400_000]);
  await schedule.trigger();
  await expect.poll(emails, { timeout: 20_000 }).not.toContain("c106@crowd.test");
  await schedule.delete();
  await say(pipeline, "c106@crowd.test", {});
  expect(await handOver()).toMatchObject({ delivered: 1 });
});

test("Sec-GPC of a device alone takes its person out of a destination once it has landed, without a build", async () => {
  const schema = join(directory, "schemas/events.yaml");
  await appendFile(
    schema,
    `  gpc: { type: [string, "null"] }\nsignals:\n  - { field: gpc, choice: gpc, occurred_at: at }\n`,
  );
  const visit = (id: number, more: object) => ({ id, at: "2026-03-01T10:00:00Z", url: "https://shop.test/", ...more });
  const { events = [] } = shopRows();
  await writeRows(directory, {
    events: [...events, visit(901, { device: "dev-107", email: "c107@crowd.test" })],
  });
  await pipeline.run();
  expect(emails()).toContain("c107@crowd.test");
  await writeRows(directory, {
    events: [
      ...events,
      visit(901, { device: "dev-107", email: "c107@crowd.test" }),
      visit(902, { device: "dev-107", gpc: "1" }),
      visit(903, { device: "dev-108", gpc: "0" }),
    ],
  });
  await pipeline.sync({ source: "shop" });
  await expect.poll(emails, { timeout: 20_000 }).not.toContain("c107@crowd.test");
  expect(emails()).toContain("c108@crowd.test");
  expect(
    await rowsOf("select purpose, is_given from privacy.consent_events where source = 'gpc:shop' order by purpose"),
  ).toEqual([
    { purpose: "sale", is_given: true },
    { purpose: "sharing", is_given: true },
  ]);
  await say(pipeline, "c107@crowd.test", { choice: "opt_out", purpose: "sale", isGiven: false });
  expect(await handOver()).toMatchObject({ delivered: 1 });
});

test("a directory gets a file for each batch, whole, for its owner alone", async () => {
  expect(await handOver("files")).toMatchObject({ delivered: PEOPLE - 1 });
  const folder = join(directory, "outbox");
  const [name] = await readdir(folder);
  expect((await stat(join(folder, name!))).mode & 0o777).toBe(0o600);
  const lines = (await readFile(join(folder, name!), "utf8")).split("\r\n");
  expect(lines[0]).toBe("id,email");
  expect(lines).toHaveLength(PEOPLE + 1);
  const ids = lines.slice(1, -1).map((line) => line.split(",")[0]);
  expect(ids.filter((id) => crm.audience.has(id!))).toEqual([]);
});

test("an erasure reaches every destination that was handed something, once, and the receipt says what each has said", async () => {
  const id = [...crm.audience.values()].find((member) => String(member["email_address"]) === CANARY.email)!["id"];
  let refusals = 0;
  crm.behave(({ type }) =>
    type === "person.erase" && refusals++ === 0 ? "half" : { status: 200, text: '{"status":"confirmed"}' },
  );
  const report = await erase(CANARY.email);
  expect(report.state).toBe("completed");
  const erasures = crm.calls.filter(({ type }) => type === "person.erase");
  expect(erasures).toHaveLength(2);
  expect(new Set(erasures.map(({ text }) => text)).size).toBe(1);
  expect(erasures[0]!.members).toEqual([{ id }]);
  expect(crm.effects.filter((effect) => effect === "person.erase")).toHaveLength(1);
  const receipts = await readReceipts(pipeline.pool, report.requestId);
  expect(JSON.parse(receipts[0]!.body)).toMatchObject({
    recipients: [
      { recipient: "crm", status: "confirmed" },
      { recipient: "files", status: "accepted" },
    ],
  });
  const folder = join(directory, "outbox");
  const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
  expect(texts.join("")).not.toContain(CANARY.email);
  expect(texts.join("")).toContain("c110@crowd.test");
  expect(await rowsOf("select from privacy.deliveries where envelope is not null")).toEqual([]);
});

test("a destination that can't erase, or stands no longer in the project, is no clean receipt", async () => {
  crm.behave(() => 405);
  const report = await erase("c110@crowd.test");
  expect(report).toMatchObject({ state: "completed_with_exceptions", recipients: ["crm"] });
  const file = join(directory, "miette.yaml");
  const whole = await readFile(file, "utf8");
  await writeFile(file, whole.replace("  crm:", "  erp:"));
  await expect(erase(CONTROL.email)).rejects.toMatchObject({
    cause: { message: expect.stringContaining("the destination crm was handed something") as string },
  });
  await writeFile(file, whole);
  const requestId = await ask(CONTROL.email);
  await writeFile(file, whole.replace(WEBHOOK_SECRET, "${CRM_SECRET}"));
  await expect(carryOut(requestId)).rejects.toMatchObject({
    cause: { cause: { message: expect.stringContaining("the environment variable CRM_SECRET is not set") as string } },
  });
  await writeFile(file, whole);
  const token = pipeline.vault.naming.token("email", CONTROL.email);
  expect(await rowsOf("select from core.identifiers where token = $1", [token])).toHaveLength(1);
});

test("who withdraws from a destination that the project no longer has is a person's task, named once, and out of it when that is noted", async () => {
  const file = join(directory, "miette.yaml");
  const whole = await readFile(file, "utf8");
  await writeFile(file, whole.replace("  crm:", "  erp:"));
  const [email, other] = ["c111@crowd.test", "c112@crowd.test"];
  const calls = crm.calls.length;
  const shown = async () =>
    (await openLeaving(pipeline.pool, pipeline.vault, "crm", "os:anna")).map(({ audience, people }) => [
      audience,
      people.flatMap(({ fields }) => fields["email_address"]).toSorted(),
    ]);
  const alert = async () =>
    await rowsOf("select state, code from ops.alerts where subject = 'removal:crm' and state <> 'ok'");
  await say(pipeline, email, { isGiven: false });
  // What the law called the handing over is not known any more: who has opted out of sharing alone is named, too.
  expect(await revoke()).toEqual({ removed: 1, byHand: 2, failed: 0 });
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
  expect(await alert()).toEqual([{ state: "error", code: "manual" }]);
  await expect(finishLeaving(pipeline.pool, "crm", "os:anna")).rejects.toThrow(/nobody is noted/);
  expect(await shown()).toEqual([["buyers", ["c107@crowd.test", email]]]);
  await expect(openLeaving(pipeline.pool, pipeline.vault, "crn", "os:anna")).rejects.toThrow(
    "nothing was ever handed over to crn, so nobody has to leave it; something was to crm",
  );
  const [leaving] = await openLeaving(pipeline.pool, pipeline.vault, "crm", "os:anna");
  expect(leaving!.people.map(({ id }) => crm.audience.has(id))).toEqual([true, true]);
  await say(pipeline, other, { isGiven: false });
  expect(await revoke()).toMatchObject({ byHand: 1 });
  // Who came after the list was shown has not been asked for.
  expect(await finishLeaving(pipeline.pool, "crm", "os:anna")).toBe(2);
  expect(await alert()).toHaveLength(1);
  expect(await shown()).toEqual([["buyers", [other]]]);
  expect(crm.calls).toHaveLength(calls);

  // Put back, it is asked itself for whom nobody has asked it.
  await writeFile(file, whole);
  expect(await revoke()).toEqual({ removed: 1, byHand: 0, failed: 0 });
  expect(await shown()).toEqual([]);
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
  expect(await alert()).toEqual([]);
  expect(emails()).toContain(email);
  expect(emails()).not.toContain(other);
});

test("a receiver that offers no removal has taken nobody out: a person is called, and asks it", async () => {
  const email = "c113@crowd.test";
  crm.behave(({ type }) => (type === "audience.remove" ? 405 : 200));
  await say(pipeline, email, { isGiven: false });
  expect(await revoke()).toMatchObject({ byHand: 1, failed: 0 });
  expect(await handOver()).toMatchObject({ removed: 0 });
  expect(await rowsOf("select state, code from ops.alerts where subject = 'removal:crm'")).toEqual([
    { state: "error", code: "unsupported" },
  ]);
  const [leaving] = await openLeaving(pipeline.pool, pipeline.vault, "crm", "os:anna");
  expect(leaving?.people.map(({ fields }) => fields)).toEqual([{ email_address: [email] }]);
  expect(await finishLeaving(pipeline.pool, "crm", "os:anna")).toBe(1);
  expect(await rowsOf("select state from ops.alerts where subject = 'removal:crm'")).toEqual([{ state: "ok" }]);
  expect(await revoke()).toEqual({ removed: 0, byHand: 0, failed: 0 });
});

const erase = async (email: string) => await carryOut(await ask(email));

async function ask(email: string): Promise<string> {
  return await receiveRequest(pipeline.pool, pipeline.vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: null,
    notBefore: null,
    identifiers: readSubject(await pipeline.project(), { emails: [email], phones: [], ids: [] }),
    actor: "test",
  });
}

async function carryOut(requestId: string): Promise<ErasureReport & { requestId: string }> {
  const report = (await pipeline.client.workflow.execute("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  })) as ErasureReport;
  return { ...report, requestId };
}
