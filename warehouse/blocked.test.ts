import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { IdentityRules } from "../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { openTestVault } from "../test/landing.ts";
import { refreshBlocked } from "./blocked.ts";
import { inTransaction } from "./database.ts";
import type { Vault } from "./vault.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
beforeEach(async () => {
  await database.pool.query("delete from vault.identifiers");
  await database.pool.query("delete from ops.notes where name = 'blocked identifiers'");
});
afterAll(() => database.drop());

const rules = (...blocked: string[]): IdentityRules => ({
  identifiers: [{ kind: "email", limit: 5, window: null, blocked, sharedAbove: null }],
});
const tokenOf = (address: string): string => vault.naming.token("email", address);

async function add(client: pg.ClientBase, ...addresses: string[]): Promise<void> {
  const found = new Map(
    addresses.map((address) => [tokenOf(address), { kind: "email", canonical: address, foldedToken: null }]),
  );
  await vault.identifierKeys(client, found, new Set(found.keys()));
}

async function blocked(): Promise<string[]> {
  const { rows } = await database.pool.query<{ token: string }>("select token from ops.blocked_identifiers order by 1");
  return rows.map(({ token }) => token);
}

/** Those of other databases of the server count too: until they have ended, what landed after them is looked at again. */
async function olderTransactionsEnd(): Promise<void> {
  const isOver = async () =>
    (
      await database.pool.query<{ over: boolean }>(
        "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > max(landed_xid) as over from vault.identifiers",
      )
    ).rows[0]!.over;
  await expect.poll(isOver, { timeout: 120_000 }).toBe(true);
}

test("only what has come since is opened: an older identifier that no longer opens stops nobody", async () => {
  await inTransaction(database.pool, (client) => add(client, "test@shop.example", "anna@mail.example"));
  await olderTransactionsEnd();
  await refreshBlocked(database.pool, vault, rules("test@*"));
  expect(await blocked()).toEqual([tokenOf("test@shop.example")]);
  await database.pool.query("update vault.identifiers set sealed = set_byte(sealed, 20, 1 # get_byte(sealed, 20))");
  await refreshBlocked(database.pool, vault, rules("test@*"));
  await inTransaction(database.pool, (client) => add(client, "test@other.example", "ben@mail.example"));
  await refreshBlocked(database.pool, vault, rules("test@*"));
  expect(await blocked()).toEqual([tokenOf("test@other.example"), tokenOf("test@shop.example")].toSorted());
  // Another rule may block any of them.
  await expect(refreshBlocked(database.pool, vault, rules("anna@*"))).rejects.toThrow(/the sealed value does not open/);
});

test("what a slow transaction brings is found, though younger ones were looked at before it ended", async () => {
  await refreshBlocked(database.pool, vault, rules("test@*"));
  const slow = await database.pool.connect();
  try {
    await slow.query("begin");
    await add(slow, "test@slow.example");
    await inTransaction(database.pool, (client) => add(client, "test@fast.example"));
    await refreshBlocked(database.pool, vault, rules("test@*"));
    expect(await blocked()).toEqual([tokenOf("test@fast.example")]);
    await slow.query("commit");
  } finally {
    slow.release();
  }
  await refreshBlocked(database.pool, vault, rules("test@*"));
  expect(await blocked()).toEqual([tokenOf("test@fast.example"), tokenOf("test@slow.example")].toSorted());
});

test("what is erased leaves the list, and another rule makes another list", async () => {
  await inTransaction(database.pool, (client) => add(client, "test@a.example", "test@b.example", "carl@mail.example"));
  await refreshBlocked(database.pool, vault, rules("test@*"));
  await database.pool.query("delete from vault.identifiers where token = $1", [tokenOf("test@a.example")]);
  await refreshBlocked(database.pool, vault, rules("test@*"));
  expect(await blocked()).toEqual([tokenOf("test@b.example")]);
  await refreshBlocked(database.pool, vault, rules("CARL@*"));
  expect(await blocked()).toEqual([tokenOf("carl@mail.example")]);
});

test("of several that bring it up to date at once none undoes what another has found", async () => {
  await refreshBlocked(database.pool, vault, rules("test@*"));
  await Promise.all(
    [1, 2, 3, 4].map(async (n) => {
      await inTransaction(database.pool, (client) => add(client, `test@${n}.example`));
      await refreshBlocked(database.pool, vault, rules("test@*"));
    }),
  );
  expect(await blocked()).toEqual([1, 2, 3, 4].map((n) => tokenOf(`test@${n}.example`)).toSorted());
});
