import { randomBytes, randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { createKeyFile, openKeyFile } from "../privacy/keys.ts";
import type { Stream, StreamSchema } from "../domain/streams.ts";
import { finishSync, type SyncReport } from "../warehouse/landing/finish.ts";
import { landPage, type IncomingPage } from "../warehouse/landing/land.ts";
import { planStream } from "../warehouse/landing/plan.ts";
import { beginSync, type BeginSync } from "../warehouse/landing/sync.ts";
import { Vault } from "../warehouse/vault.ts";

/** A vault with a key file of its own. */
export async function openTestVault(pool: pg.Pool): Promise<Vault> {
  const directory = await mkdtemp(join(tmpdir(), "miette-key-"));
  await chmod(directory, 0o700);
  const path = join(directory, "generation-1.key");
  await createKeyFile(path);
  const vault = await Vault.open(pool, await openKeyFile(path, 1, join(directory, "data")));
  await rm(directory, { recursive: true });
  return vault;
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
): Promise<SyncReport> {
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
  return report as SyncReport;
}
