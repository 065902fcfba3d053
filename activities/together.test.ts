import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Together } from "./together.ts";

test("a hundred who ask at once cost three rounds, and each gets its own result", async () => {
  const rounds: string[][] = [];
  const waiting = new Set<string>();
  const together = new Together<string>(async (id) => {
    const all = [...new Set([id, ...waiting])];
    rounds.push(all);
    await sleep(5);
    return new Map(all.map((each) => [each, `of ${each}`]));
  });
  const ask = async (id: string): Promise<string> => {
    waiting.add(id);
    return await together.of(id, Date.now());
  };
  const ids = Array.from({ length: 100 }, (_, number) => `${number}`);
  expect(await Promise.all(ids.map(ask))).toEqual(ids.map((id) => `of ${id}`));
  expect(rounds.length).toBeLessThanOrEqual(3);
});

test("what was done before it was asked for is done anew, and a failure is nobody else's", async () => {
  let round = 0;
  const together = new Together<number>(async (id) => {
    round += 1;
    if (id === "broken") throw new Error("broken");
    return new Map([
      ["one", round],
      ["other", round],
    ]);
  });
  const before = Date.now();
  expect(await together.of("one", before)).toBe(1);
  expect(await together.of("other", Date.now() + 60_000)).toBe(2);
  const [broken, fine] = await Promise.allSettled([together.of("broken", before), together.of("one", before)]);
  expect(broken.status).toBe("rejected");
  expect(fine).toEqual({ status: "fulfilled", value: 2 });
});

test("a thousand who ask one after the other find done what was done with them in it", async () => {
  let rounds = 0;
  const ids = Array.from({ length: 1000 }, (_, number) => `${number}`);
  const together = new Together<number>(async () => {
    rounds += 1;
    return new Map(ids.map((id) => [id, rounds]));
  });
  for (const id of ids) expect(await together.of(id, 0)).toBe(1);
  // What was taken once is not handed out again.
  expect(await together.of("0", 0)).toBe(2);
});
