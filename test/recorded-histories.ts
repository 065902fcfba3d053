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

/**
 * Writes the newest history of a workflow, with its payloads opened and without what tells of the machine.
 * @param recorded.directory the project's folder, which failures name
 */
export async function recordHistory(
  client: Client,
  codec: PayloadCodec,
  recorded: { name: string; workflowId: string; directory: string },
): Promise<void> {
  const { name, workflowId, directory } = recorded;
  const sealed = historyToJSON(await client.workflow.getHandle(workflowId).fetchHistory());
  const open = async (payload: JSONPayload): Promise<JSONPayload> => {
    const [found] = await codec.decode([JSONToPayload(payload)]);
    return withoutPlaces(payloadToJSON(found as Parameters<typeof payloadToJSON>[0]), directory);
  };
  const history = await opened(JSON.parse(sealed) as unknown, open);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify({ name, workflowId, history })}\n`);
}

async function opened(value: unknown, open: (payload: JSONPayload) => Promise<JSONPayload>): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map((item) => opened(item, open)));
  // A worker's own queue is named by its process and host.
  if (typeof value === "string") return /^\d+@/.test(value) ? "worker" : value;
  if (typeof value !== "object" || value === null) return value;
  if (isSealed(value)) return await open(value);
  const entries = Object.entries(value).map(async ([key, item]) => [key, await opened(item, open)]);
  return Object.fromEntries(await Promise.all(entries)) as unknown;
}

function isSealed(value: object): value is JSONPayload {
  return (value as JSONPayload).metadata?.["encoding"] === base64("binary/encrypted");
}

/** The text of a payload without stack traces, which leave beside a failure's message, and without the project's place. */
function withoutPlaces(payload: JSONPayload, directory: string): JSONPayload {
  const text = Buffer.from(payload.data ?? "", "base64").toString("utf8");
  const isFailure = text.startsWith("{") && text.includes('"stack_trace"');
  const readable = isFailure ? JSON.stringify({ ...(JSON.parse(text) as object), stack_trace: "" }) : text;
  return { ...payload, data: base64(readable.replaceAll(directory, "/project")) };
}
