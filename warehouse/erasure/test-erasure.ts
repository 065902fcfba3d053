import { afterAll, beforeAll, beforeEach } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import { receiveRequest } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { claimBatch, finishBatch } from "./batch.ts";
import { awaitFence } from "./fence.ts";
import { sweep } from "./sweep.ts";
import { tombstone } from "./tombstone.ts";

export let database: TestDatabase;
export let vault: Vault;
/** The address of whoever a test erases: another one in each. */
export let canary: string;
export let number = 0;
export const stream = testStream({
  type: "object",
  properties: {
    id: { type: "integer" },
    email: { type: ["string", "null"], personal: "email", identifier: "email" },
    device: { type: ["string", "null"], personal: "device_id", identifier: "device_id" },
    note: { type: ["string", "null"] },
  },
});
export const table = quoteName("raw", `shop__${stream.name}`);

/** Gives a test file a warehouse, and each test a canary and a control person in it. */
export function prepareErasures(): void {
  beforeAll(async () => {
    database = await createTestDatabase();
    vault = await openTestVault(database.pool);
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    number += 1;
    canary = `canary-${number}@victim.test`;
    await land([
      { id: 1, email: canary, device: `dev-${number}` },
      { id: 2, email: "control@living.test" },
    ]);
  });
}

/** The warehouse's vault as another process has opened it. */
export function openAs(later: Vault): void {
  vault = later;
}

export const land = (records: Record<string, unknown>[]) => syncPages(database.pool, vault, stream, [{ records }]);
export const tokenOf = (email: string): string => vault.naming.token("email", email);

/** Rows that carry the canary's address, in the table and its history. */
export async function left(): Promise<number> {
  const token = tokenOf(canary);
  const { rows } = await database.pool.query<{ count: number }>(
    `select (select count(*) from ${table} as t where strpos(t::text, $1) > 0)::int
       + (select count(*) from ${quoteName("raw", `shop__${stream.name}__history`)} as t where strpos(t::text, $1) > 0)::int
       + (select count(*) from vault.identifiers where token = $1)::int
       + (select count(*) from ops.quarantine where $1 = any(tokens))::int as count`,
    [token],
  );
  return rows[0]?.count ?? -1;
}

export async function approve(canonical: string, kind = "email"): Promise<string> {
  const requestId = await receiveRequest(database.pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: null,
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind, canonical }],
    actor: "test",
  });
  await database.pool.query("update privacy.requests set state = 'approved' where request_id = $1", [requestId]);
  return (await claimBatch(database.pool))?.batchId as string;
}

const NO_RULES = { facts: new Map(), rules: new Map(), categories: new Map() };
export const sweepNow = (batchId: string) => sweep(database.pool, vault, batchId, NO_RULES, () => false);
export async function erase(canonical: string, kind = "email"): Promise<void> {
  const batchId = await approve(canonical, kind);
  await tombstone(database.pool, vault, batchId);
  await awaitFence(database.pool, batchId);
  await sweepNow(batchId);
  await finishBatch(database.pool, batchId);
}

/** In the long tests twenty rounds, each with delays of its own; the seed is in the test's name. */
