import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import type { Vault } from "../vault.ts";
import { tokeniseAhead } from "./ahead.ts";
import { inAttempt } from "./attempt.ts";
import { addCounts, NO_COUNTS } from "./counts.ts";
import { moveCursor } from "./cursor.ts";
import { landStream, type Landed } from "./land-stream.ts";
import type { PreparedPage, StreamPage } from "./page.ts";
import type { StreamPlan } from "./plan.ts";
import { quarantine } from "./quarantine.ts";
import { readSuppressions } from "./suppressions.ts";
import { writeAudit, type Sync } from "./sync.ts";
import { holdsDefinition } from "./table.ts";

/** Rows read before the share of rejected ones is judged. */
const JUDGED_AFTER = 1000;
/** An erasure moves the epoch while a page is being decided: decided anew, at the most this often. */
const EPOCH_ATTEMPTS = 5;

/**
 * Lands pages in their order. While one lands, the next is read, prepared and tokenised, so that the database and this
 * process work at the same time.
 * @param afterPage called after each commit
 */
export async function landPages(
  pool: pg.Pool,
  vault: Vault,
  sync: Sync,
  pages: AsyncIterable<PreparedPage>,
  afterPage: () => Promise<void>,
): Promise<void> {
  const iterator = pages[Symbol.asyncIterator]();
  const readNext = async (): Promise<PreparedPage | null> => {
    const { value, done } = await iterator.next();
    return done ? null : await tokeniseAhead(vault, sync, value);
  };
  try {
    let next = readNext();
    for (let page = await next; page !== null; page = await next) {
      next = readNext();
      // Awaited after this page has landed; until then a failure must not count as unhandled.
      next.catch(() => undefined);
      await landPage(pool, vault, sync, page);
      await afterPage();
    }
  } finally {
    // Not awaited: an iterator that hangs would hang its own end too.
    void iterator.return?.().catch(() => undefined);
  }
}

/**
 * Lands a page: its rows, its rejected records, the cursor and the audit line in one transaction, so that a sync killed
 * at any instant goes on after its last committed page.
 * @throws CodedError `too_many_rejects` before the cursor moves; `cursor_conflict` when another attempt went on
 */
export async function landPage(pool: pg.Pool, vault: Vault, sync: Sync, page: PreparedPage): Promise<void> {
  const cursorKey = await vault.purposeKey(pool, "cursor");
  const quarantineKey = await vault.purposeKey(pool, "quarantine");
  // Made here if need be: within the transaction, on another connection, it would wait for a rotation that waits for the page.
  for (const { plan } of page.streams) await vault.purposeKey(pool, `stream:${plan.stream.source}.${plan.stream.name}`);
  const rejected = page.streams.flatMap((each) => each.rejected);
  const excess = page.streams.find((each) => hasTooManyRejects(sync, each));
  if (excess) {
    await inAttempt(pool, sync, async (client) => {
      const epoch = await readEpoch(client);
      await quarantine(client, vault, quarantineKey, rejected, await readSuppressions(client, vault, epoch));
      if ((await lockEpoch(client)) !== epoch) throw epochMoved();
    });
    const { source, name, rejectLimit } = excess.plan.stream;
    throw new CodedError(
      "too_many_rejects",
      `more than ${rejectLimit * 100}% of the records of ${source}.${name} break its schema; see miette quarantine list, mend the schema or the source, and sync again`,
      { retryable: false },
    );
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      const landed = await inAttempt(pool, sync, async (client) => {
        const epoch = await readEpoch(client);
        const suppressions = await readSuppressions(client, vault, epoch);
        const results: Landed[] = [];
        for (const each of page.streams)
          results.push(await landStream(pool, client, vault, sync, each, { epoch, suppressions }));
        await quarantine(client, vault, quarantineKey, rejected, suppressions);
        await moveCursor(client, sync, page.cursor, cursorKey);
        for (const { plan, counts } of results) {
          await writeAudit(client, sync, plan.stream.name, counts);
          if (!(await holdsDefinition(client, plan))) throw schemaChanged(plan);
        }
        if ((await lockEpoch(client)) !== epoch) {
          throw epochMoved();
        }
        return results;
      });
      sync.position += 1;
      sync.cursor = page.cursor;
      for (const { plan, counts, keys, signals } of landed) {
        vault.remember(keys);
        sync.signals += signals;
        addCounts(sync, plan.stream.name, counts);
      }
      return;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "epoch_conflict" || attempt === EPOCH_ATTEMPTS) throw error;
    }
  }
}

function epochMoved(): CodedError {
  return new CodedError("epoch_conflict", "an erasure began while the page was landing", { retryable: true });
}

function schemaChanged({ stream }: StreamPlan): CodedError {
  return new CodedError(
    "schema_changed",
    `the schema of ${stream.source}.${stream.name} has changed while its records were landing`,
    { retryable: true },
  );
}

function hasTooManyRejects(sync: Sync, page: StreamPage): boolean {
  const { name, rejectLimit } = page.plan.stream;
  const before = sync.counts.get(name) ?? NO_COUNTS;
  const read = before.rowsRead + page.read;
  return (
    page.rejected.length > 0 && read >= JUDGED_AFTER && before.rejected + page.rejected.length > rejectLimit * read
  );
}
