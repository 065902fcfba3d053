import { Context } from "@temporalio/activity";
import type { Pool } from "pg";
import type { Source } from "../connectors/connector.ts";
import { Unavailable } from "../connectors/errors.ts";
import { syncPart, syncWorkflowId } from "../domain/ids.ts";
import type { Project } from "../domain/project.ts";
import type { StreamReport, SyncProgress, SyncUnitInput } from "../domain/runs.ts";
import type { Stream } from "../domain/streams.ts";
import { keptFacts } from "../warehouse/erasure/kept-facts.ts";
import { finishSync } from "../warehouse/landing/finish.ts";
import { landPages } from "../warehouse/landing/land.ts";
import { planStream, type StreamPlan } from "../warehouse/landing/plan.ts";
import { joinShares } from "../warehouse/landing/shares.ts";
import { beginSync, failSync, type Sync } from "../warehouse/landing/sync.ts";
import type { Retention } from "../warehouse/retention/rules.ts";
import { blockIdentifiers, graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";
import { toFailure } from "./failures.ts";
import { RowCounter } from "./row-counter.ts";
import { asReadStream, findSource } from "./plan-sync.ts";
import { readPages } from "./read-pages.ts";
import { reprocess } from "./reprocess.ts";
import { revokeDeliveriesSoon } from "./revocations.ts";
import { retentionOf } from "./retention.ts";

/** Few enough that what is made of a page stays in the processor's cache: with 10,000 the same work takes half as long again. */
const PAGE_SIZE = 2_500;
/** A tenth of a page: most of what is made of a slice is nobody's when the collector comes by. */
const SLICE_SIZE = 250;
/** A source that gives no page for this long hangs: given up, and tried again. */
const SILENCE_MS = 10 * 60_000;
/** A signal costs the history four events, so progress is told this often at the most, and more rarely as time goes on. */
const PROGRESS_MS = 5_000;

/**
 * Syncs one unit, or a share of it, to the end of what its source has now; an interrupted attempt is taken up where it committed last.
 * @param ledger connections that may read what people have said about their data, and who was handed over
 */
export async function syncUnit(
  dependencies: Dependencies,
  ledger: Pool,
  input: SyncUnitInput,
): Promise<StreamReport[]> {
  const { pool, vault, log } = dependencies;
  const context = Context.current();
  let begun: Sync | undefined;
  try {
    const { project, connector, connectorName, streams, plans, planning } = await openUnit(dependencies, input);
    const sync = await begin(dependencies, input, connector, plans);
    begun = sync;
    const report = new ProgressReport(input, sync);
    const counter = new RowCounter(context.metricMeter, input.source, sync.counts);
    const windowField = streams[0]?.window;
    const reader = {
      connector,
      connectorName,
      config: streams[0]?.config,
      streams: streams.map(asReadStream),
      cursor: sync.cursor,
      planning: { streams, settings: planning },
      options: {
        directory: project.directory,
        signal: context.cancellationSignal,
        pageSize: PAGE_SIZE,
        sliceSize: SLICE_SIZE,
        ...(input.window && windowField ? { window: { field: windowField, ...input.window } } : {}),
      },
    };
    const pages = readPages(vault.naming, sync, reader, (read) => withoutSilence(read, input.source));
    await landPages(pool, vault, sync, pages, async () => {
      counter.advance(sync.counts);
      await report.tell();
      context.cancellationSignal.throwIfAborted();
    });
    if (input.share !== undefined) return [];
    const reports = await finishSync(pool, sync);
    await reprocessAll(dependencies, ledger, plans);
    // Here, beside other syncs, so that the build need not.
    await blockIdentifiers(dependencies);
    return reports;
  } catch (error) {
    const failure = toFailure(error, log);
    const code = "type" in failure && typeof failure.type === "string" ? failure.type : "cancelled";
    await markFailed(dependencies, input, code).catch(() => undefined);
    throw failure;
  } finally {
    // Pages stay where a later one fails; an attempt before may have died between its pages and this.
    if (begun && (begun.signals > 0 || (context.info.attempt > 1 && hasSignals(begun.plans.values())))) {
      await revokeDeliveriesSoon(ledger);
    }
  }
}

function hasSignals(plans: Iterable<StreamPlan>): boolean {
  return [...plans].some(({ signals }) => signals.length > 0);
}

/** Brings what landed before under changed schemas; what it says of consent then counts at once too. */
async function reprocessAll(dependencies: Dependencies, ledger: Pool, plans: StreamPlan[]): Promise<void> {
  for (const plan of plans) {
    const { rowsRead } = await reprocess(dependencies, plan, "worker");
    if (rowsRead > 0 && hasSignals([plan])) await revokeDeliveriesSoon(ledger);
  }
}

/**
 * Ends a unit that was synced in shares: the stream's cursor then stands for what all of them have read.
 * @param input.errorCode why one of them failed; null where the stream has come to its end
 */
export async function finishShares(
  dependencies: Dependencies,
  ledger: Pool,
  { errorCode, ...input }: SyncUnitInput & { errorCode: string | null },
): Promise<StreamReport[]> {
  const { pool, vault } = dependencies;
  const { connector, plans } = await openUnit(dependencies, input);
  const { shares } = connector;
  if (!shares) throw new Error(`${input.source} is not read in shares`);
  for (const stream of input.streams) {
    await joinShares(pool, vault, { source: input.source, stream }, (cursor, parts) => shares.join(cursor, parts));
  }
  if (errorCode !== null) {
    await markFailed(dependencies, input, errorCode);
    return [];
  }
  const reports = await finishSync(pool, await begin(dependencies, input, connector, plans));
  await reprocessAll(dependencies, ledger, plans);
  await blockIdentifiers(dependencies);
  return reports;
}

interface Unit {
  project: Project;
  connector: Source<unknown>;
  connectorName: string;
  streams: Stream[];
  plans: StreamPlan[];
  planning: Parameters<typeof planStream>[2];
}

async function openUnit({ loadProject, sources }: Dependencies, input: SyncUnitInput): Promise<Unit> {
  const project = await loadProject();
  const declaration = findSource(project, input.source);
  const connector = sources[declaration.connector] as Source<unknown>;
  const streams = declaration.streams.filter(({ name }) => input.streams.includes(name));
  const kinds = project.identity.identifiers.map(({ kind }) => kind);
  const planning = {
    kinds,
    defaultCountry: declaration.defaultCountry ?? project.defaultCountry,
    ageOfConsent: project.ageOfConsent,
  };
  const plans = streams.map((stream) => planStream(stream, connector.values === "text", planning));
  return { project, connector, connectorName: declaration.connector, streams, plans, planning };
}

async function begin(
  dependencies: Dependencies,
  input: SyncUnitInput,
  connector: Source<unknown>,
  plans: StreamPlan[],
): Promise<Sync> {
  const { pool, vault } = dependencies;
  let retention: Promise<Retention> | undefined;
  const load = (): Promise<Retention> => (retention ??= retentionOf(dependencies));
  const { retention: rules } = await dependencies.loadProject();
  return await beginSync(pool, vault, {
    facts: async () => (await load()).facts,
    ...(rules.length > 0 && { rules: async () => (await load()).rules }),
    id: input.syncId,
    kind: input.kind,
    source: input.source,
    cursorScope: connector.cursorScope,
    plans,
    window: input.window,
    ...(input.share === undefined ? {} : { share: input.share }),
  });
}

/** Which records outlive their person, as the project's models stand now. */
export async function loadFacts(dependencies: Dependencies): Promise<Map<string, string[]>> {
  return keptFacts(await graphOf(dependencies), await dependencies.loadProject());
}

async function markFailed({ pool }: Dependencies, input: SyncUnitInput, code: string): Promise<void> {
  const { syncId: id, source, kind } = input;
  for (const stream of input.streams) await failSync(pool, { id, source, stream, kind, code });
}

/** Tells the workflow how far the sync has come, so that the UI shows it while the activity runs. */
class ProgressReport {
  readonly #source: string;
  readonly #part: string;
  readonly #sync: Sync;
  readonly #startedAt = Date.now();
  #toldAt = Date.now();
  constructor({ source, syncId, share }: SyncUnitInput, sync: Sync) {
    this.#source = source;
    this.#part = syncPart(syncId, share);
    this.#sync = sync;
  }
  progress(): SyncProgress[] {
    return [...this.#sync.counts].map(([stream, counts]) => ({
      stream,
      part: this.#part,
      page: counts.pages,
      rows: counts.rowsRead,
      rejected: counts.rejected,
    }));
  }
  async tell(): Promise<void> {
    const now = Date.now();
    if (now - this.#toldAt < Math.max(PROGRESS_MS, (now - this.#startedAt) / 20)) return;
    this.#toldAt = now;
    const context = Context.current();
    const { workflowId, runId } = context.info.workflowExecution ?? {
      workflowId: syncWorkflowId(this.#source),
      runId: undefined,
    };
    // The picture in the UI is not worth failing a sync for.
    await context.client.workflow
      .getHandle(workflowId, runId)
      .signal("syncProgress", this.progress())
      .catch(() => undefined);
  }
}

async function* withoutSilence<T>(pages: AsyncIterable<T>, source: string): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]();
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Unavailable(`the source ${source} has given no page for ${SILENCE_MS / 60_000} minutes`)),
          SILENCE_MS,
        );
      });
      const next = await Promise.race([iterator.next(), silence]).finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: an iterator that hangs would hang its own end too.
    void iterator.return?.().catch?.(() => undefined);
  }
}
