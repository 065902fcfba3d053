import { Context } from "@temporalio/activity";
import type { Source } from "../connectors/connector.ts";
import { Unavailable } from "../connectors/errors.ts";
import { UserError } from "../domain/errors.ts";
import { syncWorkflowId } from "../domain/ids.ts";
import type { Project, SourceDeclaration } from "../domain/project.ts";
import type { StreamReport, SyncProgress, SyncSourceInput, SyncUnit, SyncUnitInput } from "../domain/runs.ts";
import { finishSync } from "../warehouse/landing/finish.ts";
import { landPage } from "../warehouse/landing/land.ts";
import { planStream } from "../warehouse/landing/plan.ts";
import { beginSync, failSync, type Sync } from "../warehouse/landing/sync.ts";
import type { Dependencies } from "./dependencies.ts";
import { toFailure } from "./failures.ts";

const PAGE_SIZE = 10_000;
/** A source that gives no page for this long hangs: given up, and tried again. */
const SILENCE_MS = 10 * 60_000;
const HEARTBEAT_MS = 2_000;
/** A signal costs the history four events, so progress is told this often at the most, and more rarely as time goes on. */
const PROGRESS_MS = 5_000;

/** What has to be synced of a source: a unit per cursor. */
export async function planSync(
  { loadProject, sources }: Dependencies,
  input: Pick<SyncSourceInput, "source" | "streams" | "window">,
): Promise<SyncUnit[]> {
  const declaration = findSource(await loadProject(), input.source);
  const connector = sources[declaration.connector] as Source<unknown>;
  const known = declaration.streams.map(({ name }) => name);
  for (const name of input.streams ?? []) {
    if (!known.includes(name)) {
      throw new UserError(`there is no stream ${name}; the source has ${known.join(", ")}`, {
        file: "miette.yaml",
        key: `sources.${input.source}.streams`,
      });
    }
  }
  const streams = input.window ? windowed(declaration, input.streams) : (input.streams ?? known);
  if (connector.cursorScope === "source") return [{ name: input.source, streams: known }];
  return streams.map((name) => ({ name, streams: [name] }));
}

/** Syncs one unit to the end of what its source has now; an interrupted attempt is taken up where it committed last. */
export async function syncUnit(dependencies: Dependencies, input: SyncUnitInput): Promise<StreamReport[]> {
  const { pool, vault, loadProject, sources, log } = dependencies;
  const context = Context.current();
  const project = await loadProject();
  const declaration = findSource(project, input.source);
  const connector = sources[declaration.connector] as Source<unknown>;
  const streams = declaration.streams.filter(({ name }) => input.streams.includes(name));
  const kinds = project.identity.identifiers.map(({ kind }) => kind);
  const plans = streams.map((stream) =>
    planStream(stream, connector.values === "text", {
      kinds,
      defaultCountry: declaration.defaultCountry ?? project.defaultCountry,
    }),
  );
  try {
    const sync = await beginSync(pool, vault, {
      id: input.syncId,
      kind: input.kind,
      source: input.source,
      cursorScope: connector.cursorScope,
      plans,
      window: input.window,
    });
    const report = new ProgressReport(input.source, sync);
    const beat = setInterval(() => context.heartbeat(report.progress()), HEARTBEAT_MS);
    try {
      const windowField = streams[0]?.window;
      const pages = connector.read(
        streams[0]?.config ?? declaration.config,
        streams.map(({ name, key, cursor, schema }) => ({ name, key, cursor, schema })),
        sync.cursor,
        {
          directory: project.directory,
          signal: context.cancellationSignal,
          pageSize: PAGE_SIZE,
          ...(input.window && windowField ? { window: { field: windowField, ...input.window } } : {}),
        },
      );
      for await (const page of withoutSilence(pages, input.source)) {
        context.cancellationSignal.throwIfAborted();
        await landPage(pool, vault, sync, page);
        await report.tell();
      }
      return await finishSync(pool, sync);
    } finally {
      clearInterval(beat);
    }
  } catch (error) {
    const failure = toFailure(error, log);
    const code = "type" in failure && typeof failure.type === "string" ? failure.type : "cancelled";
    for (const { name } of streams) {
      await failSync(pool, { id: input.syncId, source: input.source, stream: name, kind: input.kind, code }).catch(
        () => undefined,
      );
    }
    throw failure;
  }
}

/** The streams that a span can be cut from: those with a `window` field. */
function windowed(declaration: SourceDeclaration, asked: string[] | undefined): string[] {
  const streams = declaration.streams.filter(({ name }) => asked?.includes(name) ?? true);
  const able = streams.filter(({ window }) => window !== null).map(({ name }) => name);
  if (able.length === 0 || (asked && able.length < asked.length)) {
    throw new UserError(
      "a span needs a stream that names its `window` field; add it, or sync without --from and --to",
      {
        file: "miette.yaml",
        key: `sources.${declaration.name}.streams`,
      },
    );
  }
  return able;
}

function findSource(project: Project, name: string): SourceDeclaration {
  const declaration = project.sources.find((source) => source.name === name);
  if (!declaration) {
    const known = project.sources.map((source) => source.name).join(", ");
    throw new UserError(`there is no source ${name}; the project has ${known}`, {
      file: "miette.yaml",
      key: "sources",
    });
  }
  return declaration;
}

/** Tells the workflow how far the sync has come, so that the UI shows it while the activity runs. */
class ProgressReport {
  readonly #source: string;
  readonly #sync: Sync;
  readonly #startedAt = Date.now();
  #toldAt = Date.now();
  constructor(source: string, sync: Sync) {
    this.#source = source;
    this.#sync = sync;
  }
  progress(): SyncProgress[] {
    return [...this.#sync.counts].map(([stream, counts]) => ({
      stream,
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
