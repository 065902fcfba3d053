import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import { inTransaction, quoteName } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { recordChange } from "../relation-state.ts";
import type { Identifier, OpenedIdentifier, Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import { reread, type LandedRow } from "./reread.ts";
import { sealingTokens, sealSecret, Tokeniser, type Tokenised } from "./seal.ts";
import { recordSignals } from "./signals.ts";
import { readSuppressions, type Suppressions } from "./suppressions.ts";

/** Rows of one transaction: about two seconds of work, during which an erasure waits. */
const BATCH = 2_000;

export interface ReprocessedRows {
  rowsRead: number;
  rowsChanged: number;
  /** Values that break the schema which was declared for them: they stay sealed. */
  valuesRefused: number;
}

/**
 * Brings a batch of the rows that landed before their stream's schema changed under the schema as it stands: fields that
 * have been declared since, match keys and remains are made of what is sealed, opened in memory alone. The batch and how
 * far the work has come are one transaction, so that work cut off at any instant goes on after its last batch.
 * @returns what has been done since the work began, or null where nothing is left to do
 */
export async function reprocessBatch(pool: pg.Pool, vault: Vault, plan: StreamPlan): Promise<ReprocessedRows | null> {
  const { source, name } = plan.stream;
  const streamKey = await vault.purposeKey(pool, `stream:${source}.${name}`);
  const { remembered, done } = await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    const work = await takeWork(client, plan);
    if (work === null) return { remembered: new Map<string, Buffer | null>(), done: null };
    const rows = await readRows(client, plan, work);
    const suppressions = await readSuppressions(client, vault, epoch);
    const remembered = await rewrite(client, vault, plan, work, rows, streamKey, suppressions);
    if ((await lockEpoch(client)) !== epoch) {
      throw new CodedError("epoch_conflict", "an erasure began while rows were reprocessed", { retryable: true });
    }
    return { remembered: remembered.keys, done: remembered.done };
  });
  vault.remember(remembered);
  return done;
}

interface Work {
  reload: number;
  isInHistory: boolean;
  afterKey: string | null;
  afterHash: string | null;
  rowsRead: number;
  rowsChanged: number;
  valuesRefused: number;
}

async function takeWork(client: pg.ClientBase, plan: StreamPlan): Promise<Work | null> {
  const { rows } = await client.query<Work>(
    `select reload, is_in_history as "isInHistory", after_key as "afterKey", after_hash as "afterHash",
       rows_read::float8 as "rowsRead", rows_changed::float8 as "rowsChanged", values_refused::float8 as "valuesRefused"
     from ops.reprocessings where source = $1 and stream = $2 and finished_at is null for update`,
    [plan.stream.source, plan.stream.name],
  );
  return rows[0] ?? null;
}

function tableOf(plan: StreamPlan, { isInHistory }: Pick<Work, "isInHistory">): string {
  return quoteName("raw", isInHistory ? `${plan.table}__history` : plan.table);
}

async function readRows(client: pg.ClientBase, plan: StreamPlan, work: Work): Promise<LandedRow[]> {
  const columns = plan.columns.map(({ name }) => `${quoteName(name)}::text`);
  const { rows } = await client.query<LandedRow>(
    `select record_key as "recordKey", content_hash as "contentHash", version::text as version, sealed,
       owner_token as "ownerToken", array[${columns.join(", ")}]::text[] as columns
     from ${tableOf(plan, work)}
     where reload < $1 and ($2::uuid is null or (record_key, content_hash) > ($2, $3::uuid))
     order by record_key, content_hash limit ${BATCH} for update`,
    [work.reload, work.afterKey, work.afterHash],
  );
  return rows;
}

async function rewrite(
  client: pg.ClientBase,
  vault: Vault,
  plan: StreamPlan,
  work: Work,
  rows: LandedRow[],
  streamKey: Buffer,
  suppressions: Suppressions | null,
): Promise<{ keys: Map<string, Buffer | null>; done: ReprocessedRows }> {
  const opened = await vault.openIdentifiers(client, tokensIn(plan, rows));
  const identifiers = new Map<string, Identifier>();
  const changed: Tokenised[] = [];
  const said: Pick<Tokenised, "columns">[] = [];
  let valuesRefused = 0;
  for (const row of rows) {
    const again = rereadRow(plan, row, opened, streamKey);
    if (again === null) continue;
    valuesRefused += again.refused;
    const tokeniser = new Tokeniser(plan, vault.naming, suppressions);
    const tokenised = tokeniser.tokenise(again.prepared);
    // What stands is never emptied: a value may be gone from the vault, or have been made of what no longer is.
    const columns = tokenised.columns.map((text, index) => text ?? row.columns[index] ?? null);
    said.push({ columns });
    const isSame = columns.every((text, index) => text === row.columns[index]) && tokenised.secret === again.secret;
    if (isSame && tokenised.ownerToken === row.ownerToken) continue;
    for (const [token, identifier] of tokeniser.identifiers) identifiers.set(token, identifier);
    changed.push({ ...tokenised, columns, ownerToken: tokenised.ownerToken ?? row.ownerToken });
  }
  await recordSignals(client, plan.signals, plan.fields, said);
  const keys = await vault.identifierKeys(client, identifiers, sealingTokens(changed));
  const keyOf = (token: string | null): Buffer =>
    token === null ? streamKey : (keys.get(token) ?? (opened.get(token) as OpenedIdentifier).key);
  await writeRows(client, plan, work, changed, (row) => sealSecret(plan, row, keyOf(row.ownerToken)));
  const done = {
    rowsRead: work.rowsRead + rows.length,
    rowsChanged: work.rowsChanged + changed.length,
    valuesRefused: work.valuesRefused + valuesRefused,
  };
  await noteProgress(client, plan, work, rows, done);
  return { keys, done };
}

/** Null where the owner's key is gone: the row is an erased person's. */
export function rereadRow(
  plan: StreamPlan,
  row: LandedRow,
  opened: ReadonlyMap<string, OpenedIdentifier>,
  streamKey: Buffer,
): ReturnType<typeof reread> | null {
  const key = row.ownerToken === null ? streamKey : opened.get(row.ownerToken)?.key;
  return key === undefined ? null : reread(plan, row, key, (token) => opened.get(token)?.canonical ?? null);
}

/** Tokens that have to be opened to read rows again. */
export function tokensIn(plan: StreamPlan, rows: LandedRow[]): string[] {
  const personal = plan.fields.flatMap(({ schema, column }) => (schema.personal && column !== null ? [column] : []));
  const tokens = new Set<string>();
  for (const row of rows) {
    if (row.ownerToken !== null) tokens.add(row.ownerToken);
    for (const column of personal) {
      const token = row.columns[column];
      if (token !== null && token !== undefined) tokens.add(token);
    }
  }
  return [...tokens];
}

export async function writeRows(
  client: pg.ClientBase,
  plan: StreamPlan,
  work: Pick<Work, "isInHistory">,
  rows: Tokenised[],
  seal: (row: Tokenised) => Buffer | null,
): Promise<void> {
  if (rows.length === 0) return;
  const set = plan.columns.map(({ name, type }, index) => `${quoteName(name)} = new.c${index}::${type}`);
  const own = work.isInHistory ? [] : ["landed_xid = pg_current_xact_id()"];
  const names = plan.columns.map((_, index) => `c${index}`);
  const arrays = plan.columns.map((_, index) => `$${index + 5}::text[]`);
  await client.query(
    `update ${tableOf(plan, work)} as landed
     set ${[...set, "sealed = new.sealed", "owner_token = new.owner_token", ...own].join(", ")}
     from unnest(${["$1::uuid[]", "$2::uuid[]", "$3::bytea[]", "$4::text[]", ...arrays].join(", ")})
       as new (${["record_key", "content_hash", "sealed", "owner_token", ...names].join(", ")})
     where landed.record_key = new.record_key and landed.content_hash = new.content_hash`,
    [
      rows.map(({ prepared }) => prepared.recordKey),
      rows.map(({ prepared }) => prepared.contentHash),
      rows.map(seal),
      rows.map(({ ownerToken }) => ownerToken),
      ...plan.columns.map((_, index) => rows.map(({ columns }) => columns[index] ?? null)),
    ],
  );
  await recordChange(client, `raw.${plan.table}`);
}

/** A batch that was not full was the last of its table; the history comes after the current rows. */
async function noteProgress(
  client: pg.ClientBase,
  plan: StreamPlan,
  work: Work,
  rows: LandedRow[],
  done: ReprocessedRows,
): Promise<void> {
  const isLast = rows.length < BATCH;
  const last = isLast ? undefined : rows.at(-1);
  await client.query(
    `update ops.reprocessings set is_in_history = $3, after_key = $4, after_hash = $5, rows_read = $6, rows_changed = $7,
       values_refused = $8, finished_at = case when $9 then now() end
     where source = $1 and stream = $2`,
    [
      plan.stream.source,
      plan.stream.name,
      work.isInHistory || isLast,
      last?.recordKey ?? null,
      last?.contentHash ?? null,
      done.rowsRead,
      done.rowsChanged,
      done.valuesRefused,
      isLast && work.isInHistory,
    ],
  );
}
