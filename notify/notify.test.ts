import { createHmac } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import type { AlertMessage } from "../domain/alerts.ts";
import type { SmtpChannel } from "../domain/project.ts";
import { receiveHttp, receiveMail } from "../test/receivers.ts";
import { notify } from "./notify.ts";

const SECRET = `whsec_${Buffer.from("a secret of twenty-four!").toString("base64")}`;
const MESSAGE: AlertMessage = {
  id: "msg_0123",
  project: "shop",
  subject: "freshness:shop.orders",
  state: "error",
  code: "late",
  counts: { hours: 26, allowed: 24 },
  since: "2026-11-24T12:00:00Z",
};

async function webhook(answer?: (request: number) => number) {
  const receiver = await receiveHttp(answer);
  onTestFinished(() => receiver.close());
  const send = (secret: string | null = SECRET) =>
    notify({ webhook: { url: receiver.url, secret }, smtp: null }, "webhook", MESSAGE);
  return { ...receiver, send };
}

async function mail(channel: Partial<SmtpChannel> = {}, options: Parameters<typeof receiveMail>[0] = {}) {
  const receiver = await receiveMail(options);
  onTestFinished(() => receiver.close());
  const smtp: SmtpChannel = {
    host: "127.0.0.1",
    port: receiver.port,
    tls: "none",
    user: "miette",
    password: "hunter2",
    from: "miette@shop.example",
    to: ["data@shop.example", "owner@shop.example"],
    ...channel,
  };
  return { ...receiver, send: () => notify({ webhook: null, smtp }, "smtp", MESSAGE) };
}

test("a webhook gets the message as JSON, signed over its id, its time and the very bytes of its body", async () => {
  const { send, received } = await webhook();
  await send();
  const { headers, body } = received[0]!;
  expect(headers["webhook-id"]).toBe("msg_0123");
  const signed = `msg_0123.${String(headers["webhook-timestamp"])}.${body.toString()}`;
  const expected = createHmac("sha256", "a secret of twenty-four!").update(signed).digest("base64");
  expect(headers["webhook-signature"]).toBe(`v1,${expected}`);
  expect(JSON.parse(body.toString())).toEqual({
    type: "alert.error",
    timestamp: "2026-11-24T12:00:00Z",
    data: {
      ...MESSAGE,
      title: "[shop] error: freshness:shop.orders (late)",
      text: "No new record of shop.orders has landed for 26 hours; 24 are allowed. miette status shows its last sync.",
    },
  });
});

test("without a secret a webhook goes unsigned", async () => {
  const { send, received } = await webhook();
  await send(null);
  const { headers } = received[0]!;
  expect([headers["webhook-id"], headers["webhook-signature"]]).toEqual(["msg_0123", undefined]);
});

test.each([
  [503, true],
  [429, true],
  [408, true],
  [400, false],
  [410, false],
  [302, false],
])("an answer of %i is tried again: %s, and a redirect leads nowhere", async (status, retryable) => {
  const { send, received } = await webhook(() => status);
  await expect(send()).rejects.toMatchObject({ code: "notification_failed", retryable });
  expect(received.map(({ path }) => path)).toEqual(["/hook?token=hunter2"]);
});

test("a webhook that can't be reached is tried again, and its error does not hold the URL", async () => {
  const { send, close } = await webhook();
  await close();
  const error = (await send().catch((cause: unknown) => cause)) as Error;
  expect(error).toMatchObject({ code: "notification_failed", retryable: true });
  expect(error.message).not.toContain("hunter2");
});

test("a mail reaches every address, with the message's id as its own", async () => {
  const { send, mails } = await mail();
  await send();
  expect(mails).toHaveLength(1);
  expect(mails[0]).toContain("Message-ID: <msg_0123@miette>");
  expect(mails[0]).toContain("To: data@shop.example, owner@shop.example");
  expect(mails[0]).toContain("Subject: [shop] error: freshness:shop.orders (late)");
  expect(mails[0]).toMatch(/No new record of shop\.orders has landed for 26 hours/);
});

test("refused credentials are final", async () => {
  const { send, mails } = await mail({ password: "wrong" });
  await expect(send()).rejects.toMatchObject({ code: "notification_failed", retryable: false });
  expect(mails).toEqual([]);
});

test("where TLS is asked for, nothing is sent to a server that offers none, or whose certificate nobody vouches for", async () => {
  const open = await mail({ tls: "starttls" }, { hideSTARTTLS: true });
  await expect(open.send()).rejects.toMatchObject({ code: "notification_failed" });
  const selfSigned = await mail({ tls: "starttls" });
  await expect(selfSigned.send()).rejects.toMatchObject({ code: "notification_failed" });
  const implicit = await mail({ tls: "implicit" }, { secure: true });
  await expect(implicit.send()).rejects.toMatchObject({ code: "notification_failed" });
  expect([open.mails, selfSigned.mails, implicit.mails]).toEqual([[], [], []]);
});

test("a server that is away, or busy for now, is tried again", async () => {
  const gone = await mail();
  await gone.close();
  await expect(gone.send()).rejects.toMatchObject({ code: "notification_failed", retryable: true });
  const busy = await mail(
    {},
    { onMailFrom: (_address, _session, done) => done(Object.assign(new Error("later"), { responseCode: 451 })) },
  );
  await expect(busy.send()).rejects.toMatchObject({ code: "notification_failed", retryable: true });
});
