import { Context } from "@temporalio/activity";
import type { Client } from "@temporalio/client";
import type { Payload } from "@temporalio/common";

/** Histories that are read at the most, newest first: of 10,000 requests a day and their clocks, a day's. */
const MOST_HISTORIES = 50_000;
/** Asked for at once: one after another, the server is waited for most of the time. */
const AT_ONCE = 16;

/** gRPC's code for what a server does not know to do. */
const UNIMPLEMENTED = 12;

/** Everything that Temporal keeps of each execution, opened, as text; null where the server can't list them. */
export async function* readHistories(): AsyncGenerator<string | null> {
  try {
    yield* readListed();
  } catch (error) {
    if ((error as { cause?: { code?: number } }).cause?.code !== UNIMPLEMENTED) throw error;
    yield null;
  }
}

async function* readListed(): AsyncGenerator<string | null> {
  const { client } = Context.current();
  let reading: Promise<string | null>[] = [];
  let count = 0;
  // What has ended and is gone since it was listed holds nothing.
  const read = async (): Promise<string[]> => (await Promise.all(reading)).filter((text) => text !== null);
  for await (const { workflowId, runId, memo, searchAttributes } of client.workflow.list()) {
    if ((count += 1) > MOST_HISTORIES) {
      yield null;
      break;
    }
    reading.push(readHistory(client, workflowId, runId, [workflowId, memo, searchAttributes]));
    if (reading.length < AT_ONCE) continue;
    yield* await read();
    reading = [];
  }
  yield* await read();
}

/** @param head what stands beside the history. @returns null where it is gone */
async function readHistory(client: Client, workflowId: string, runId: string, head: unknown[]): Promise<string | null> {
  const history = await client.workflow
    .getHandle(workflowId, runId)
    .fetchHistory()
    .catch(() => null);
  if (history === null) return null;
  const payloads: Payload[] = [];
  const shown = JSON.stringify([...head, history], (_, value: unknown) => {
    if (isPayload(value)) {
      payloads.push(value);
      return undefined;
    }
    return value;
  });
  let opened = payloads;
  for (const codec of client.options.loadedDataConverter.payloadCodecs) {
    opened = await codec.decode(opened).catch(() => opened);
  }
  return [shown, ...opened.map(({ data }) => Buffer.from(data ?? []).toString("utf8"))].join("\n");
}

function isPayload(value: unknown): value is Payload {
  return typeof value === "object" && value !== null && "metadata" in value && "data" in value;
}
