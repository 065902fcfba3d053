import { resolve } from "node:path";
import { Context } from "@temporalio/activity";
import type { Source } from "../connectors/connector.ts";
import { inferStream } from "../connectors/infer-schema.ts";
import { UserError } from "../domain/errors.ts";
import type { AcceptedField, AcceptFieldInput, ReprocessReport } from "../domain/runs.ts";
import type { FieldSchema } from "../domain/streams.ts";
import { recordAudit } from "../warehouse/audit.ts";
import { inTransaction } from "../warehouse/database.ts";
import { planStream, type StreamPlan } from "../warehouse/landing/plan.ts";
import { reprocessBatch } from "../warehouse/landing/reprocess.ts";
import { sampleUndeclared } from "../warehouse/landing/sample-undeclared.ts";
import { followSchema } from "../warehouse/landing/table.ts";
import type { Dependencies } from "./dependencies.ts";
import { findSource } from "./plan-sync.ts";

/** Declares a field that landed sealed: its type is told from the sealed values, which stay in this process's memory. */
export async function acceptField(dependencies: Dependencies, input: AcceptFieldInput): Promise<AcceptedField> {
  const { pool, vault } = dependencies;
  const { stream, plan, connector } = await openStream(dependencies, input);
  const declared = stream.schema.properties[input.field];
  if (declared) return { schema: declared, isNew: false, file: stream.schemaFile };
  const values = await sampleUndeclared(pool, vault, plan, input.field);
  if (values.length === 0) {
    throw new UserError(
      `no record of ${input.source}.${input.stream} holds an undeclared field of this name; miette status lists those that do`,
      { key: input.field },
    );
  }
  const proposed = inferStream(
    input.stream,
    values.map((value) => ({ [input.field]: value })),
    connector.values,
  )?.schema.properties[input.field];
  const schema = labelled(proposed ?? { type: "string" }, input);
  const { source, stream: name, field, actor } = input;
  await inTransaction(pool, (client) =>
    recordAudit(client, {
      actor,
      action: "schema.accept",
      detail: { source, stream: name, field, personal: schema.personal ?? null },
    }),
  );
  await inTransaction(pool, async (client) => {
    // Two fields that are accepted at once would each write the file as it was before the other.
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`schema ${stream.schemaFile}`]);
    await dependencies.declareField(resolve(stream.schemaFile), field, schema);
  });
  return { schema, isNew: true, file: stream.schemaFile };
}

/** The sample may have missed a null or an empty value, so the field may be null; what a person said goes before what was found. */
function labelled(proposed: FieldSchema, { as }: AcceptFieldInput): FieldSchema {
  const { why: _, personal, identifier, sensitive, ...shape } = proposed;
  const types = [shape.type].flat();
  const schema: FieldSchema = { ...shape, type: types.includes("null") ? types : [...types, "null"] };
  if (as === "open") return schema;
  const kind = as ?? personal;
  if (kind === undefined) return schema;
  return {
    ...schema,
    personal: kind,
    ...(kind === personal && identifier !== undefined && kind !== "account_id" && { identifier }),
    ...(sensitive !== undefined && { sensitive }),
  };
}

/**
 * Brings the rows of a stream that landed before under its schema as it stands; taken up after its last committed batch.
 */
export async function reprocessStream(
  dependencies: Dependencies,
  input: { source: string; stream: string; actor: string },
): Promise<ReprocessReport> {
  const { plan } = await openStream(dependencies, input);
  return await reprocess(dependencies, plan, input.actor);
}

/** The same for a stream whose plan is known: what a changed schema has left to do, or nothing. */
export async function reprocess(
  { pool, vault }: Pick<Dependencies, "pool" | "vault">,
  plan: StreamPlan,
  actor: string,
): Promise<ReprocessReport> {
  const { source, name } = plan.stream;
  const context = Context.current();
  await inTransaction(pool, (client) => followSchema(client, plan));
  let report: ReprocessReport = { rowsRead: 0, rowsChanged: 0, valuesRefused: 0 };
  let isBegun = false;
  for (;;) {
    context.cancellationSignal.throwIfAborted();
    const done = await reprocessBatch(pool, vault, plan);
    if (done === null) break;
    isBegun = true;
    report = done;
    context.heartbeat();
  }
  if (isBegun) {
    await inTransaction(pool, (client) =>
      recordAudit(client, {
        actor,
        action: "stream.reprocess",
        purpose: "fields, match keys and remains that the schema has declared since the rows landed",
        detail: { source, stream: name, ...report },
      }),
    );
  }
  return report;
}

/** How every stream of the project lands, as its files stand now. */
export async function plansOf({ loadProject, sources }: Dependencies): Promise<StreamPlan[]> {
  const project = await loadProject();
  return project.sources.flatMap((declaration) =>
    declaration.streams.map((stream) =>
      planStream(stream, (sources[declaration.connector] as Source<unknown>).values === "text", {
        kinds: project.identity.identifiers.map(({ kind }) => kind),
        defaultCountry: declaration.defaultCountry ?? project.defaultCountry,
        ageOfConsent: project.ageOfConsent,
      }),
    ),
  );
}

/** How a stream of the project is landed. */
export async function openStream({ loadProject, sources }: Dependencies, input: { source: string; stream: string }) {
  const project = await loadProject();
  const declaration = findSource(project, input.source);
  const stream = declaration.streams.find(({ name }) => name === input.stream);
  if (!stream) {
    const known = declaration.streams.map(({ name }) => name).join(", ");
    throw new UserError(`there is no stream ${input.stream}; the source has ${known}`, {
      file: "miette.yaml",
      key: `sources.${input.source}.streams`,
    });
  }
  const connector = sources[declaration.connector] as Source<unknown>;
  const plan = planStream(stream, connector.values === "text", {
    kinds: project.identity.identifiers.map(({ kind }) => kind),
    defaultCountry: declaration.defaultCountry ?? project.defaultCountry,
    ageOfConsent: project.ageOfConsent,
  });
  return { stream, plan, connector };
}
