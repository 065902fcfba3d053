import type { Payload } from "@temporalio/common";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SealingCodec, type PayloadKeys } from "./payload-codec.ts";

const CANARY = "canary-7f3a@victim.test";
const keyOf = (id: string): Buffer => Buffer.alloc(32, Number(id));
const keys = (id: string, known = ["1", "2"]): PayloadKeys => ({
  current: async () => ({ id, key: keyOf(id) }),
  find: async (asked) => (known.includes(asked) ? keyOf(asked) : null),
});
const payload = (text: string): Payload => ({
  metadata: { encoding: Buffer.from("json/plain") },
  data: Buffer.from(text),
});
/** What the server would store. */
const stored = (payloads: Payload[]): string =>
  payloads
    .flatMap(({ metadata, data }) => [...Object.values(metadata ?? {}), data ?? Buffer.alloc(0)])
    .map((bytes) => Buffer.from(bytes).toString("latin1"))
    .join("|");

test("a payload comes back whole, metadata included, and is unreadable on the way", async () => {
  const codec = new SealingCodec(keys("1"));
  const bytes = fc.uint8Array({ maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ metadata: fc.dictionary(fc.string(), bytes), data: bytes })),
      async (sent) => {
        const opened = await codec.decode(await codec.encode(sent));
        expect(
          opened.map(({ metadata, data }) => [asHex(metadata ?? {}), Buffer.from(data ?? []).toString("hex")]),
        ).toEqual(sent.map(({ metadata, data }) => [asHex(metadata), Buffer.from(data).toString("hex")]));
      },
    ),
    { numRuns: 50 },
  );
  expect(stored(await codec.encode([payload(CANARY)]))).not.toContain("canary");
});

test("what an older key sealed stays readable under a newer one, by the id beside it", async () => {
  const old = await new SealingCodec(keys("1")).encode([payload(CANARY)]);
  const opened = await new SealingCodec(keys("2")).decode(old);
  expect(Buffer.from(opened[0]?.data ?? []).toString()).toBe(CANARY);
});

test("without its key, under another's id, or altered, a payload does not open", async () => {
  const [sealed] = (await new SealingCodec(keys("1")).encode([payload(CANARY)])) as [Payload];
  const decode = (changed: Payload, known = ["1", "2"]): Promise<Payload[]> =>
    new SealingCodec(keys("2", known)).decode([changed]);
  await expect(decode(sealed, ["2"])).rejects.toThrow("its key is gone");
  const relabelled = { ...sealed, metadata: { ...sealed.metadata, "encryption-key-id": Buffer.from("2") } };
  await expect(decode(relabelled)).rejects.toThrow("does not open");
  const altered = Buffer.from(sealed.data ?? []);
  altered[20] = (altered[20] ?? 0) ^ 1;
  await expect(decode({ ...sealed, data: altered })).rejects.toThrow("does not open");
});

test("a history from before sealing is passed on as it is", async () => {
  expect(await new SealingCodec(keys("1")).decode([payload("{}")])).toEqual([payload("{}")]);
});

function asHex(metadata: Record<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value).toString("hex")]),
  );
}
