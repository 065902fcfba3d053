import { randomUUID } from "node:crypto";
import { Context } from "@temporalio/activity";
import type { ReadStream, ShareOptions, Source } from "../connectors/connector.ts";
import { ConnectorError } from "../connectors/errors.ts";
import { UserError } from "../domain/errors.ts";
import type { Project, SourceDeclaration } from "../domain/project.ts";
import type { SyncSourceInput, SyncUnit } from "../domain/runs.ts";
import type { Stream } from "../domain/streams.ts";
import { planShares } from "../warehouse/landing/shares.ts";
import type { Dependencies } from "./dependencies.ts";

/** At most so many activities read one stream at once, so that the streams of other sources are not kept waiting. */
const MOST_SHARES = 4;
/** A share below this size is over before another activity would have begun (55 ms). */
const LEAST_SHARE_BYTES = 32 * 1024 * 1024;
const DAY_MS = 86_400_000;

/** What has to be synced of a source: a unit per cursor, long windows and many files in several parts at once. */
export async function planSync(dependencies: Dependencies, input: SyncSourceInput): Promise<SyncUnit[]> {
  const { loadProject, sources } = dependencies;
  const project = await loadProject();
  const declaration = findSource(project, input.source);
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
  const names = input.window ? windowed(declaration, input.streams) : (input.streams ?? known);
  const unit = { window: input.window ?? null, shares: 0 };
  if (connector.cursorScope === "source") {
    return [{ ...unit, name: input.source, syncId: randomUUID(), streams: known }];
  }
  const units: SyncUnit[] = [];
  for (const stream of declaration.streams.filter(({ name }) => names.includes(name))) {
    const { name } = stream;
    if (input.window) {
      const isParted = connector.cutsWindows && stream.key !== null && isOrderFree(stream);
      const windows = isParted ? splitWindow(input.window) : [input.window];
      units.push(...windows.map((window) => ({ ...unit, name, syncId: randomUUID(), streams: [name], window })));
    } else {
      const syncId = randomUUID();
      const shares = await planStreamShares(dependencies, project, stream, connector, syncId, input.full ?? false);
      units.push({ ...unit, name, syncId, streams: [name], shares });
    }
  }
  return units;
}

/** Whether a stream's records may land in any order, with one end state. A snapshot ends as a whole, so it is read as one. */
function isOrderFree({ mode, version, key }: Stream): boolean {
  return mode !== "snapshot" && (mode === "append" || version !== null || key === null);
}

/** Equal spans of a closed window, none below a day. */
function splitWindow(window: { from?: string; to?: string }): { from?: string; to?: string }[] {
  const [from, to] = [Date.parse(window.from ?? ""), Date.parse(window.to ?? "")];
  const count = Math.min(MOST_SHARES, Math.floor((to - from) / DAY_MS));
  if (!(count >= 2)) return [window];
  const bounds = Array.from({ length: count + 1 }, (_, index) =>
    new Date(Math.round(from + ((to - from) * index) / count)).toISOString(),
  );
  return bounds.slice(1).map((bound, index) => ({ from: bounds[index] as string, to: bound }));
}

async function planStreamShares(
  { pool, vault }: Dependencies,
  project: Project,
  stream: Stream,
  { shares }: Source<unknown>,
  syncId: string,
  isFull: boolean,
): Promise<number> {
  if (!shares || !isOrderFree(stream)) return 0;
  const options: ShareOptions = {
    directory: project.directory,
    signal: Context.current().cancellationSignal,
    most: MOST_SHARES,
    leastBytes: LEAST_SHARE_BYTES,
  };
  return await planShares(
    pool,
    vault,
    { source: stream.source, stream: stream.name, syncId, isFull },
    {
      // What can't be read is told by the stream's own sync, so that the source's other streams land.
      split: (cursor) =>
        shares.split(stream.config, asReadStream(stream), cursor, options).catch((error: unknown) => {
          if (error instanceof ConnectorError) return [];
          throw error;
        }),
      join: (cursor, parts) => shares.join(cursor, parts),
    },
  );
}

/** What a connector has to know of it. */
export function asReadStream({ name, key, cursor, schema }: Stream): ReadStream {
  return { name, key, cursor, schema };
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

/** @throws UserError where the project has none of that name */
export function findSource(project: Project, name: string): SourceDeclaration {
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
