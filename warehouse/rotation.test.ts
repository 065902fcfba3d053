import { randomBytes } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { UserError } from "../domain/errors.ts";
import type { FieldSchema } from "../domain/streams.ts";
import { keyFiles } from "../privacy/key-files.ts";
import { KeyRing } from "../privacy/keys.ts";
import { open } from "../privacy/sealing.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { syncPages, testStream } from "../test/landing.ts";
import { verifyAudit } from "./audit.ts";
import { inTransaction } from "./database.ts";
import { beginRotation, destroyRetired, keyStatus, proveKeys, rewrapKeys } from "./rotation.ts";
import { identifierIdentity, Vault } from "./vault.ts";

let database: TestDatabase;
let home: string;
const ring = (): KeyRing => new KeyRing(keyFiles(join(home, "keys"), []));
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "miette-rotation-"));
  await database.pool.query("truncate vault.keys, vault.identifiers, vault.generations");
});
afterEach(() => rm(home, { recursive: true }));

async function store(vault: Vault, addresses: string[]): Promise<string[]> {
  const tokens = addresses.map((address) => vault.naming.token("email", address));
  const found = new Map(
    tokens.map((token, index) => [token, { kind: "email", canonical: addresses[index] as string, foldedToken: null }]),
  );
  await inTransaction(database.pool, (client) => vault.identifierKeys(client, found, new Set(tokens)));
  return tokens;
}

async function rotate(keys: KeyRing): Promise<void> {
  const rotation = await beginRotation(database.pool, keys, "test");
  await rewrapKeys(database.pool, keys, rotation);
  await proveKeys(database.pool, keys, rotation);
  await destroyRetired(database.pool, keys, rotation, "test");
}

async function addresses(vault: Vault): Promise<string[]> {
  const all: string[] = [];
  for await (const batch of vault.identifiers(database.pool, ["email"]))
    all.push(...batch.map((each) => each.canonical));
  return all.toSorted();
}

test("after a rotation the living open under the new generation, and the old one is gone from disk", async () => {
  const vault = await Vault.open(database.pool, ring());
  await store(vault, ["a@mail.example", "b@mail.example"]);
  await rotate(ring());
  expect(await keyStatus(database.pool)).toMatchObject([
    { generation: 1, status: "destroyed", keys: 0 },
    { generation: 2, status: "current" },
  ]);
  await expect(stat(join(home, "keys/generation-1.key"))).rejects.toThrow("ENOENT");
  const later = await Vault.open(database.pool, ring());
  expect(await addresses(later)).toEqual(["a@mail.example", "b@mail.example"]);
  expect(later.naming.token("email", "a@mail.example")).toBe(vault.naming.token("email", "a@mail.example"));
  expect((await inTransaction(database.pool, (client) => verifyAudit(client))).firstBad).toBeNull();
});

test("a rotation and the first page of a new stream do not wait for each other", async () => {
  const vault = await Vault.open(database.pool, ring());
  await database.pool.query(`
    create function vault.linger() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end';
    create trigger linger before insert on vault.identifiers for each statement execute function vault.linger()`);
  const email: FieldSchema = { type: ["string", "null"], personal: "email", identifier: "email" };
  const stream = testStream({ type: "object", required: ["id"], properties: { id: { type: "integer" }, email } });
  const landing = syncPages(database.pool, vault, stream, [{ records: [{ id: 1, email: "a@mail.example" }] }]);
  const isLingering = async () =>
    (await database.pool.query("select from pg_stat_activity where wait_event = 'PgSleep'")).rowCount;
  await expect.poll(isLingering, { timeout: 20_000 }).toBeGreaterThan(0);
  const rotation = beginRotation(database.pool, ring(), "test");
  const late = sleep(20_000, "both wait", { ref: false });
  expect(await Promise.race([landing, late])).toMatchObject({ inserted: 1 });
  expect(await rotation).toEqual({ current: 2, retiring: [1] });
  await database.pool.query("drop function vault.linger cascade");
});

test("old data with the current vault opens the living and not the erased; the older vault opens for nobody", async () => {
  const vault = await Vault.open(database.pool, ring());
  const [living, erased] = (await store(vault, ["living@mail.example", "erased@mail.example"])) as [string, string];
  const { rows } = await database.pool.query<{
    token: string;
    generation: number;
    wrapped_key: Buffer;
    sealed: Buffer;
  }>("select token, generation, wrapped_key, sealed from vault.identifiers");
  await database.pool.query("delete from vault.identifiers where token = $1", [erased]);
  const keys = ring();
  await rotate(keys);

  expect(rows).toHaveLength(2);
  for (const { token, generation, wrapped_key, sealed } of rows) {
    // The older vault: its generation is gone, and the new one does not open what that wrapped.
    await expect(keys.openGeneration(generation)).rejects.toThrow(UserError);
    expect(() => keys.unwrap(wrapped_key, 2, identifierIdentity(token))).toThrow("does not open");
    // Old data, current vault.
    const current = await database.pool.query<{ wrapped_key: Buffer }>(
      "select wrapped_key from vault.identifiers where token = $1",
      [token],
    );
    if (token === erased) expect(current.rows).toEqual([]);
    else {
      const key = keys.unwrap(current.rows[0]?.wrapped_key as Buffer, 2, identifierIdentity(token));
      expect(open(key, identifierIdentity(token), sealed).toString()).toBe("living@mail.example");
    }
  }
  expect(rows.map(({ token }) => token).toSorted()).toEqual([living, erased].toSorted());
});

test("a rotation that is interrupted at any point is taken up by the next, and nothing is lost", async () => {
  const many = Array.from({ length: 12_000 }, (_, index) => `p${index}@mail.example`);
  await store(await Vault.open(database.pool, ring()), many);
  const first = ring();
  const rotation = await beginRotation(database.pool, first, "test");
  // Dies after the second batch.
  let batches = 0;
  const dying = rewrapKeys(database.pool, first, rotation, () => {
    batches += 1;
    if (batches === 2) throw new Error("killed");
  });
  await expect(dying).rejects.toThrow("killed");
  expect(await keyStatus(database.pool)).toMatchObject([{ status: "retiring", keys: 2_000 }, { status: "current" }]);

  const second = ring();
  expect(await beginRotation(database.pool, second, "test")).toEqual(rotation);
  await expect(proveKeys(database.pool, second, rotation)).rejects.toThrow("nothing was destroyed");
  await expect(destroyRetired(database.pool, second, rotation, "test")).rejects.toThrow(
    "vault.identifiers are still wrapped",
  );
  await expect(stat(join(home, "keys/generation-1.key"))).resolves.toBeDefined();

  expect(await rewrapKeys(database.pool, second, rotation)).toBe(2_000);
  // Dies between the end of the file and the line that says so.
  await proveKeys(database.pool, second, rotation);
  await second.destroyGeneration(1);
  const broken = Object.assign(ring(), { destroyGeneration: () => Promise.reject(new Error("killed")) });
  await expect(destroyRetired(database.pool, broken, rotation, "test")).rejects.toThrow("killed");
  expect(await addresses(await Vault.open(database.pool, ring()))).toHaveLength(many.length);
  await rotate(ring());
  expect(await keyStatus(database.pool)).toMatchObject([{ status: "destroyed" }, { generation: 2, status: "current" }]);
  expect(await addresses(await Vault.open(database.pool, ring()))).toEqual(many.toSorted());
});

test("loaders that wrap while a rotation begins wrap under a generation that stays", async () => {
  const loader = await Vault.open(database.pool, ring());
  const stop = new AbortController();
  const stored: string[] = [];
  const loading = (async () => {
    for (let page = 0; !stop.signal.aborted; page += 1) {
      const batch = Array.from({ length: 20 }, (_, index) => `${page}-${index}@mail.example`);
      await store(loader, batch);
      stored.push(...batch);
    }
  })();
  const rotating = (async () => {
    for (let round = 0; round < 3; round += 1) await rotate(ring());
  })().finally(() => stop.abort());
  await Promise.all([loading.finally(() => stop.abort()), rotating]);
  expect(stored.length).toBeGreaterThan(0);
  expect(await addresses(await Vault.open(database.pool, ring()))).toEqual(stored.toSorted());
});

test("a table that a rotation does not know, but that says which generation wrapped its keys, keeps that generation", async () => {
  await Vault.open(database.pool, ring());
  await database.pool.query("create table public.envelopes (generation integer, wrapped_key bytea)");
  await database.pool.query("insert into public.envelopes values (1, $1)", [randomBytes(60)]);
  await expect(rotate(ring())).rejects.toThrow("public.envelopes are still wrapped by generation 1");
  await database.pool.query("drop table public.envelopes");
  await rotate(ring());
});

test("a key that was altered is found before anything is destroyed", async () => {
  const [token] = await store(await Vault.open(database.pool, ring()), ["a@mail.example"]);
  const keys = ring();
  const rotation = await beginRotation(database.pool, keys, "test");
  await rewrapKeys(database.pool, keys, rotation);
  await database.pool.query(
    "update vault.identifiers set wrapped_key = set_byte(wrapped_key, 20, 1 # get_byte(wrapped_key, 20))",
  );
  await expect(proveKeys(database.pool, keys, rotation)).rejects.toThrow(`the key of ${token} does not open`);
  await expect(stat(join(home, "keys/generation-1.key"))).resolves.toBeDefined();
});
