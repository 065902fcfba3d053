import { randomBytes, randomUUID } from "node:crypto";
import type pg from "pg";
import { CodedError, UserError } from "../domain/errors.ts";
import { KeyRing } from "../privacy/keys.ts";
import type { StreamReport } from "../domain/runs.ts";
import type { Stream, StreamSchema } from "../domain/streams.ts";
import { finishSync } from "../warehouse/landing/finish.ts";
import { landPages } from "../warehouse/landing/land.ts";
import { preparePages, type IncomingPage } from "../warehouse/landing/page.ts";
import { planStream, type StreamPlan } from "../warehouse/landing/plan.ts";
import { beginSync, type BeginSync, type Sync } from "../warehouse/landing/sync.ts";
import { Vault } from "../warehouse/vault.ts";

/** Generations made as they are asked for, and gone with the process. */
const generations = new Map<number, Buffer>();
export const testKeys = new KeyRing({
  place: "memory",
  async read(generation) {
    const key = generations.get(generation);
    if (!key) throw new UserError(`generation ${generation} is gone`);
    return key;
  },
  async create(generation) {
    if (!generations.has(generation)) generations.set(generation, randomBytes(32));
  },
  async destroy(generation) {
    generations.delete(generation);
  },
});

/**
 * A vault under this process's key file.
 * @param sameKeysAs another database whose keys it takes over, so that equal values have equal tokens in both
 */
export async function openTestVault(pool: pg.Pool, sameKeysAs?: pg.Pool): Promise<Vault> {
  if (sameKeysAs) {
    await testKeys.createGeneration(1);
    await pool.query("insert into vault.generations (generation, status) values (1, 'current')");
    const { rows } = await sameKeysAs.query("select purpose, version, generation, wrapped_key from vault.keys");
    for (const { purpose, version, generation, wrapped_key } of rows as Record<string, unknown>[]) {
      await pool.query("insert into vault.keys (purpose, version, generation, wrapped_key) values ($1, $2, $3, $4)", [
        purpose,
        version,
        generation,
        wrapped_key,
      ]);
    }
  }
  return await Vault.open(pool, testKeys);
}

/** A stream of the source `shop` under a name of its own. */
export function testStream(schema: StreamSchema, settings: Partial<Stream> = {}): Stream {
  return {
    source: "shop",
    name: `s_${randomBytes(4).toString("hex")}`,
    mode: "upsert",
    key: ["id"],
    cursor: null,
    version: null,
    window: null,
    schema,
    schemaFile: "schemas/shop/test.yaml",
    rejectLimit: 0.01,
    config: {},
    ...settings,
  };
}

/** A stream of a test, compiled for landing. */
export function testPlan(stream: Stream, options: { textual?: boolean; kinds?: string[] } = {}): StreamPlan {
  return planStream(stream, options.textual ?? false, {
    kinds: options.kinds ?? ["customer_id", "email"],
    defaultCountry: "FR",
    ageOfConsent: 16,
  });
}

/** Lands what a connector would read. */
export async function landIncoming(
  pool: pg.Pool,
  vault: Vault,
  sync: Sync,
  pages: AsyncIterable<IncomingPage>,
): Promise<void> {
  await landPages(pool, vault, sync, preparePages(vault.naming, sync, pages), async () => undefined);
}

/** A page of a connector by itself. */
export async function* onePage(page: IncomingPage): AsyncGenerator<IncomingPage> {
  yield page;
}

/** Lands pages of one stream as one sync. */
export async function syncPages(
  pool: pg.Pool,
  vault: Vault,
  stream: Stream,
  pages: (Omit<IncomingPage, "records" | "cursor"> & { records: Record<string, unknown>[] })[],
  options: { textual?: boolean; kinds?: string[]; sync?: Partial<BeginSync> } = {},
): Promise<StreamReport> {
  const plan = testPlan(stream, options);
  const sync = await beginSync(pool, vault, {
    id: randomUUID(),
    kind: "incremental",
    source: stream.source,
    cursorScope: "stream",
    plans: [plan],
    window: null,
    ...options.sync,
  });
  async function* read(): AsyncGenerator<IncomingPage> {
    for (const [index, page] of pages.entries()) {
      yield { ...page, records: { [stream.name]: page.records }, cursor: { page: index } };
    }
  }
  await landIncoming(pool, vault, sync, read());
  const [report] = await finishUndisturbed(pool, sync);
  return report as StreamReport;
}

/** An erasure that begins as a sync ends lets the activity fail once, and Temporal makes it again. */
async function finishUndisturbed(pool: pg.Pool, sync: Sync): Promise<StreamReport[]> {
  try {
    return await finishSync(pool, sync);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== "epoch_conflict") throw error;
    return await finishSync(pool, sync);
  }
}
