import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@temporalio/client";
import type { PayloadCodec } from "@temporalio/common";
import { historyToJSON, JSONToPayload, type JSONPayload, payloadToJSON } from "@temporalio/common/lib/proto-utils.js";

const FOLDER = join(import.meta.dirname, "histories");
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** What recorded histories are worth: a workflow's events as the server keeps them, payloads opened. */
export interface RecordedHistory {
  /** `sync-source-ended`, … */
  name: string;
  workflowId: string;
  history: unknown;
}

export async function readHistories(): Promise<RecordedHistory[]> {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith(".json")).toSorted();
  return await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(join(FOLDER, file), "utf8")) as RecordedHistory),
  );
}

/** Writes the newest history of a workflow, with its payloads opened and without what tells of the machine. */
export async function recordHistory(
  client: Client,
  codec: PayloadCodec,
  recorded: { name: string; workflowId: string; runId?: string },
): Promise<void> {
  const { name, workflowId, runId } = recorded;
  const sealed = historyToJSON(await client.workflow.getHandle(workflowId, runId).fetchHistory());
  const history = await opened(JSON.parse(sealed) as unknown, codec);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify({ name, workflowId, history }, null, 1)}\n`);
}

async function opened(value: unknown, codec: PayloadCodec): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map((item) => opened(item, codec)));
  if (typeof value !== "object" || value === null) return value;
  if (isSealed(value)) {
    const [payload] = await codec.decode([JSONToPayload(value)]);
    return withoutPlaces(payloadToJSON(payload as Parameters<typeof payloadToJSON>[0]));
  }
  const entries = Object.entries(value).map(async ([key, item]) => {
    // Processes and hosts; and where in the checkout a failure came from.
    if (key === "identity" || key === "stackTrace") return [key, ""];
    return [key, await opened(item, codec)];
  });
  return Object.fromEntries(await Promise.all(entries)) as unknown;
}

function isSealed(value: object): value is JSONPayload {
  return (value as JSONPayload).metadata?.["encoding"] === base64("binary/encrypted");
}

/** A failure's message and stack trace leave as one payload. */
function withoutPlaces(payload: JSONPayload): JSONPayload {
  const text = Buffer.from(payload.data ?? "", "base64").toString("utf8");
  if (!text.includes('"stack_trace"')) return payload;
  const attributes = JSON.parse(text) as object;
  return { ...payload, data: base64(JSON.stringify({ ...attributes, stack_trace: "" })) };
}
