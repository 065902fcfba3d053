import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { receiveWebhooks, WEBHOOK_SECRET } from "../../test/webhook-receiver.ts";
import { Rejected, Throttled, Unauthorized, Unavailable } from "../errors.ts";
import { webhook } from "./destination.ts";

let receiver: Awaited<ReturnType<typeof receiveWebhooks>>;
beforeAll(async () => {
  receiver = await receiveWebhooks();
});
afterAll(() => receiver.close());
beforeEach(() => receiver.behave(() => 200));

let made = 0;
const options = { directory: "/", signal: new AbortController().signal };
const config = (seconds = 30) => ({ url: receiver.url, secret: WEBHOOK_SECRET, timeout_seconds: seconds });
const members = [{ id: "p1", fields: {} }];
const parcel = () => ({
  key: `k${(made += 1)}`,
  audience: "a",
  purpose: "p",
  at: "2026-11-24T12:00:00.000Z",
  members,
});
const to = { kind: "email", value: "p1@shop.example" };
const OPTIONAL = {
  remove: () => webhook.remove?.(config(), parcel(), options),
  erase: () => webhook.erase?.(config(), parcel(), options),
  send: () => webhook.send?.(config(), { ...parcel(), id: "p1", to, template: "t", values: {} }, options),
};
const allocate = () =>
  new Promise((resolve) =>
    setTimeout(
      resolve,
      20,
      Array.from({ length: 100_000 }, () => ({})),
    ),
  );
const deliver = () => webhook.deliver?.(config(), parcel(), options);

test("a receiver that says nothing is given up after its time, and may have taken it all the same", async () => {
  receiver.behave(() => "silent");
  const before = Date.now();
  const calls = Promise.all([1, 2].map(async () => await webhook.erase?.(config(2), parcel(), options)));
  calls.catch(() => undefined);
  // What the timer hangs on must not be collected as garbage while the call is under way.
  for (let round = 0; round < 20; round += 1) await allocate();
  await expect(calls).rejects.toThrow(Unavailable);
  expect(Date.now() - before).toBeGreaterThanOrEqual(1_900);
  expect(receiver.effects.at(-1)).toBe("person.erase");
});

test.each([404, 405, 501])(
  "a receiver that answers %i knows no such call, and has to know a delivery",
  async (status) => {
    receiver.behave(() => status);
    for (const call of Object.values(OPTIONAL)) expect(await call()).toBe("unsupported");
    await expect(deliver()).rejects.toThrow(Rejected);
  },
);

test.each([
  [200, ""],
  [202, '{"status":"queued"}'],
  [200, '{"status":"CONFIRMED"}'],
  [200, "confirmed"],
  [200, "null"],
  [200, `{"status":"confirmed","padding":"${"x".repeat(70_000)}"}`],
])("%i and %s is taken, and proves nothing", async (status, text) => {
  receiver.behave(() => ({ status, text }));
  for (const call of [...Object.values(OPTIONAL), deliver]) expect(await call()).toBe("accepted");
});

test("only a receiver that says so has confirmed", async () => {
  receiver.behave(() => ({ status: 200, text: '{"status":"confirmed"}' }));
  for (const call of [...Object.values(OPTIONAL), deliver]) expect(await call()).toBe("confirmed");
});

test.each([
  [429, Throttled],
  [408, Unavailable],
  [425, Unavailable],
  [500, Unavailable],
  [503, Unavailable],
  [401, Unauthorized],
  [403, Unauthorized],
  [400, Rejected],
  [302, Rejected],
])("%i is told as what it is, without the URL", async (status, kind) => {
  receiver.behave(() => status);
  const error: unknown = await Promise.resolve(OPTIONAL.erase()).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(kind);
  expect((error as Error).message).not.toMatch(/hunter2|127\.0\.0\.1/);
});

test.each([
  ["7", 7_000],
  ["86400", 3_600_000],
  ["soon", undefined],
])("Retry-After: %s is kept to, an hour at the most", async (header, wait) => {
  receiver.behave(() => ({ status: 429, text: "", headers: { "retry-after": header } }));
  await expect(deliver()).rejects.toMatchObject({ retryAfterMs: wait });
});
