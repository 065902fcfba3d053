import { randomBytes, randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { createKeyFile, openKeyFile, type KeyEncryption } from "../privacy/keys.ts";
import type { StreamReport } from "../domain/runs.ts";
import type { Stream, StreamSchema } from "../domain/streams.ts";
import { finishSync } from "../warehouse/landing/finish.ts";
import { landPage, type IncomingPage } from "../warehouse/landing/land.ts";
import { planStream } from "../warehouse/landing/plan.ts";
import { beginSync, type BeginSync } from "../warehouse/landing/sync.ts";
import { Vault } from "../warehouse/vault.ts";

let encryption: Promise<KeyEncryption> | undefined;

/**
 * A vault under this process's key file.
 * @param sameKeysAs another database whose keys it takes over, so that equal values have equal tokens in both
 */
export async function openTestVault(pool: pg.Pool, sameKeysAs?: pg.Pool): Promise<Vault> {
  encryption ??= makeKey();
  if (sameKeysAs) {
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
  return await Vault.open(pool, await encryption);
}

async function makeKey(): Promise<KeyEncryption> {
  const directory = await mkdtemp(join(tmpdir(), "miette-key-"));
  await chmod(directory, 0o700);
  const path = join(directory, "generation-1.key");
  await createKeyFile(path);
  const key = await openKeyFile(path, 1, join(directory, "data"));
  await rm(directory, { recursive: true });
  return key;
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

/** Lands pages of one stream as one sync. */
export async function syncPages(
  pool: pg.Pool,
  vault: Vault,
  stream: Stream,
  pages: (Omit<IncomingPage, "records" | "cursor"> & { records: Record<string, unknown>[] })[],
  options: { textual?: boolean; kinds?: string[]; sync?: Partial<BeginSync> } = {},
): Promise<StreamReport> {
  const plan = planStream(stream, options.textual ?? false, {
    kinds: options.kinds ?? ["customer_id", "email"],
    defaultCountry: "FR",
  });
  const sync = await beginSync(pool, vault, {
    id: randomUUID(),
    kind: "incremental",
    source: stream.source,
    cursorScope: "stream",
    plans: [plan],
    window: null,
    ...options.sync,
  });
  for (const [index, page] of pages.entries()) {
    await landPage(pool, vault, sync, { ...page, records: { [stream.name]: page.records }, cursor: { page: index } });
  }
  const [report] = await finishSync(pool, sync);
  return report as StreamReport;
}
