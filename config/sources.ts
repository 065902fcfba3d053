import type { Schedule, SourceDeclaration } from "../domain/project.ts";
import { identifierKind } from "../domain/columns.ts";
import type { FieldSchema, Stream, StreamMode, StreamSchema } from "../domain/streams.ts";
import type { Config, ConnectorConfigs } from "./connector-config.ts";
import { cronFlaw } from "./cron.ts";
import type { Findings } from "./findings.ts";
import type { FreshnessBlock } from "./freshness.ts";
import { SchemaReader } from "./schema-reader.ts";
import type { SchemaFile } from "./stream-schema.ts";
import { checkReferences, checkStream } from "./streams.ts";
import { isObject, type Path } from "./yaml-file.ts";

export interface SourceBlock {
  connector: string;
  config?: Config;
  default_country?: string;
  schedule?: Schedule;
  freshness?: FreshnessBlock;
  streams?: Record<string, StreamBlock>;
}

interface StreamBlock {
  mode?: StreamMode;
  key?: string[];
  cursor?: string;
  version?: string;
  window?: string;
  schema: string;
  freshness?: FreshnessBlock;
  reject_limit?: number;
  config?: Config;
}

/** The identifier kinds that schemas declare, in their order. */
export interface FieldKinds {
  all: string[];
  /** Those that no field is, but match keys alone. */
  matchKeys: string[];
}

/** A stream whose schema could be read, with that schema. */
export interface LoadedStream {
  stream: Stream;
  schemaFile: SchemaFile;
}

/**
 * The declared sources with their streams' schemas read and checked.
 * @returns the sources, and the identifier kinds that their schemas declare (null where a schema could not be read)
 */
export async function readSources(
  blocks: Record<string, SourceBlock>,
  root: string,
  connectors: ConnectorConfigs,
  findings: Findings,
): Promise<{ sources: SourceDeclaration[]; fieldKinds: FieldKinds | null }> {
  const schemas = new SchemaReader(root);
  const sources: SourceDeclaration[] = [];
  const loaded: LoadedStream[] = [];
  let areAllRead = true;
  for (const [name, block] of Object.entries(blocks)) {
    const path = ["sources", name];
    if (!isObject(block)) continue;
    checkSchedule(block, path, findings);
    const source: SourceDeclaration = {
      name,
      connector: block.connector,
      config: isObject(block.config) ? block.config : {},
      defaultCountry: typeof block.default_country === "string" ? block.default_country : null,
      schedule: block.schedule ?? null,
      streams: [],
    };
    sources.push(source);
    for (const [streamName, streamBlock] of Object.entries(isObject(block.streams) ? block.streams : {})) {
      const streamPath = [...path, "streams", streamName];
      const schemaFile = await openSchema(streamBlock, streamPath, schemas, findings);
      areAllRead &&= schemaFile?.isSound === true;
      if (!schemaFile?.schema) continue;
      const sound = soundKeys(streamBlock, streamPath, findings);
      const stream = streamOf(source, streamName, sound, schemaFile);
      checkStream(stream, streamPath, findings);
      source.streams.push(stream);
      if (schemaFile.isSound) loaded.push({ stream, schemaFile });
    }
    // Last, since a wrong config says nothing about the streams' other keys.
    connectors.check(block, path, findings);
  }
  findings.addErrors(schemas.errors());
  findings.addErrors(checkReferences(loaded, blocks));
  return { sources, fieldKinds: areAllRead ? kindsOf(loaded) : null };
}

function checkSchedule(block: SourceBlock, path: Path, findings: Findings): void {
  const cron = isObject(block.schedule) && "cron" in block.schedule ? block.schedule.cron : undefined;
  const flaw = typeof cron === "string" ? cronFlaw(cron) : null;
  if (flaw) findings.report([...path, "schedule", "cron"], flaw);
}

async function openSchema(
  block: StreamBlock,
  path: Path,
  schemas: SchemaReader,
  findings: Findings,
): Promise<SchemaFile | null> {
  if (!isObject(block) || typeof block.schema !== "string" || !findings.isSound([...path, "schema"])) return null;
  try {
    return await schemas.read(block.schema);
  } catch {
    const mend = `write it, or let "miette discover ${path[1]} --write" propose it`;
    findings.report([...path, "schema"], `the file ${block.schema} can't be read; ${mend}.`);
    return null;
  }
}

/** The stream's block without the keys that have been told to be wrong, so that the others can still be checked. */
function soundKeys(block: StreamBlock, path: Path, findings: Findings): StreamBlock {
  const keys = Object.entries(block).filter(([key]) => findings.isSound([...path, key]));
  return Object.fromEntries(keys) as unknown as StreamBlock;
}

function streamOf(source: SourceDeclaration, name: string, block: StreamBlock, { schema, file }: SchemaFile): Stream {
  return {
    source: source.name,
    name,
    mode: block.mode ?? (block.key ? "upsert" : "append"),
    key: block.key ?? null,
    cursor: block.cursor ?? null,
    version: block.version ?? null,
    window: block.window ?? null,
    schema: withKinds(schema as Stream["schema"], source.name),
    schemaFile: file.displayFile,
    rejectLimit: block.reject_limit ?? 0.01,
    config: { ...(source.config as Config), ...block.config },
  };
}

/** `identifier: true` by the kind that it stands for; the account ids of two sources are two kinds, since `7` is somebody else in each. */
function withKinds(schema: StreamSchema, source: string): StreamSchema {
  const properties = Object.entries(schema.properties).map(([name, field]): [string, FieldSchema] => {
    const { identifier, ...rest } = field as FieldSchema & { identifier?: string | boolean };
    if (typeof identifier !== "boolean") return [name, field];
    const kind = field.personal === "account_id" ? identifierKind(source, "account_id") : field.personal;
    return [name, identifier && kind ? { ...rest, identifier: kind } : rest];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

function kindsOf(loaded: LoadedStream[]): FieldKinds {
  const ofFields = ({ properties }: StreamSchema) =>
    Object.values(properties).flatMap(({ identifier }) => identifier ?? []);
  const schemas = loaded.map(({ stream }) => stream.schema);
  const fields = new Set(schemas.flatMap(ofFields));
  const all = new Set(schemas.flatMap((schema) => [...ofFields(schema), ...Object.keys(schema.match_keys ?? {})]));
  return { all: [...all], matchKeys: [...all].filter((kind) => !fields.has(kind)) };
}
