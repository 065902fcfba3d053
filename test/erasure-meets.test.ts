import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../demo/random.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { erase, holding, request } from "./requests.ts";

let directory: string;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-erasure-meets-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  pipeline = await openPipeline(directory);
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

const correct = (email: string, values: Record<string, string>) =>
  request(pipeline, email, { kind: "correction", values });
const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await pipeline.pool.query(sql, values)).rows;

test.each(["before it", "while it is carried out"])(
  "an erasure leaves nothing of a correction that is asked for %s, neither of the right address nor of the wrong one that is still sent",
  async (when) => {
    const id = when === "before it" ? 950 : 951;
    const [wrong, right] = [`typo-${id}@victim.test`, `right-${id}@victim.test`];
    const rows = shopRows();
    rows["reviews"]?.push({ id, email: wrong, stars: 3, text: "Wrongly named" });
    await writeRows(directory, rows);
    await pipeline.run();
    const inFirst = await correct(wrong, { "shop.reviews.email": right });
    expect(inFirst).toMatchObject({ state: "completed" });
    // Nothing that has landed holds the wrong address any more.
    const token = (email: string) => pipeline.vault.naming.token("email", email);
    expect(await rowsOf("select token from core.identifiers where token = $1", [token(wrong)])).toEqual([]);

    const [erased, meanwhile] = await Promise.all([
      erase(pipeline, right),
      when === "before it"
        ? null
        : correct(right, { "shop.reviews.email": `third-${id}@victim.test`, "shop.reviews.text": "Zzyzx" }),
    ]);
    expect(erased.state).toBe("completed");
    if (meanwhile === null) {
      expect(erased.plan.relations).toContainEqual({ relation: "privacy.corrections", action: "delete", rows: 1 });
    } else expect(["completed", "refused"]).toContain(meanwhile.state);
    const afterwards = await correct(right, { "shop.reviews.text": "Zzyzx" });
    expect(afterwards.state).toBe("refused");
    const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, afterwards.requestId));
    expect(receipt?.statement).toMatchObject({ kind: "correction", outcome: "refused", reason: "no_data" });
    expect(
      await rowsOf(
        "select from privacy.requests where kind = 'correction' and num_nonnulls(sealed, scope, secret) > 0",
      ),
    ).toEqual([]);

    // The source goes on to send the wrong address, at first as it did, then beside another change.
    for (const stars of [3, 4]) {
      Object.assign(rows["reviews"]?.at(-1) ?? {}, { stars });
      await writeRows(directory, rows);
      await pipeline.sync({ source: "shop", full: true });
    }
    await pipeline.build();
    const hexes = [wrong, right, `third-${id}@victim.test`].map((email) => token(email).split("_").at(-1));
    expect(await holding(pipeline.pool, hexes.join("|"))).toEqual([]);
    expect(await rowsOf("select from privacy.corrections")).toEqual([]);
    expect(await rowsOf("select from raw.shop__reviews where id = $1", [id])).toEqual([]);
  },
);

/** As soon as no other build runs: there is one at a time. */
async function buildInFull(): Promise<void> {
  for (;;) {
    try {
      return void (await pipeline.build({ full: true }));
    } catch (error) {
      if ((error as Error).name !== "WorkflowExecutionAlreadyStartedError") throw error;
      await sleep(50);
    }
  }
}

/** In the long tests twenty rounds with delays of their own; the seed is in the test's name. */
const ROUNDS = process.env["MIETTE_TEST_LONG"] ? 20 : 1;
const SEED = Math.floor(Date.now() / 86_400_000);

test.each(Array.from({ length: ROUNDS }, (_, round) => [SEED + round, 300 + round]))(
  "a full sync and a build that run while a person is erased bring nothing back (seed %i)",
  async (seed, id) => {
    const random = new Random(seed);
    const email = `race-${id}@victim.test`;
    const rows = shopRows();
    rows["customers"]?.push({ id, email, phone: null, name: "Racer", country: "DE" });
    for (let i = 0; i < 40; i += 1) {
      const at = "2026-02-23T09:00:00Z";
      rows["events"]?.push({
        id: id * 1_000 + i,
        device: `dev-race-${id}`,
        email: i % 2 ? email : null,
        url: "https://x.test/",
        at,
      });
      rows["orders"]?.push({ id: id * 1_000 + i, customer: id, email, gift_note: email, amount: 1, ordered_at: at });
    }
    await writeRows(directory, rows);
    await pipeline.run();
    const after = async (work: () => Promise<unknown>): Promise<void> => {
      await sleep(random.int(0, 4_000));
      await work();
    };
    const [report] = await Promise.all([
      erase(pipeline, email),
      after(() => pipeline.sync({ source: "shop", full: true })),
      after(buildInFull),
    ]);
    expect(report.state).toBe("completed");
    await pipeline.sync({ source: "shop", full: true });
    await pipeline.build();
    const naming = pipeline.vault.naming;
    const tokens = [
      naming.token("email", email),
      naming.token("customer_id", String(id)),
      naming.token("device_id", `dev-race-${id}`),
    ];
    const hexes = tokens.map((token) => token.slice(token.lastIndexOf("_") + 1));
    expect(await holding(pipeline.pool, hexes.join("|"))).toEqual([]);
  },
);
