import { Context } from "@temporalio/activity";
import type { Payload } from "@temporalio/common";

/** Histories that are read at the most, newest first. */
const MOST_HISTORIES = 5_000;

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
  const codecs = client.options.loadedDataConverter.payloadCodecs;
  let count = 0;
  for await (const execution of client.workflow.list()) {
    if ((count += 1) > MOST_HISTORIES) return yield null;
    const history = await client.workflow
      .getHandle(execution.workflowId, execution.runId)
      .fetchHistory()
      .catch(() => null);
    // It has ended and is gone since it was listed.
    if (history === null) continue;
    const payloads: Payload[] = [];
    const shown = JSON.stringify(
      [execution.workflowId, execution.memo, execution.searchAttributes, history],
      (_, value: unknown) => {
        if (isPayload(value)) {
          payloads.push(value);
          return undefined;
        }
        return value;
      },
    );
    let opened = payloads;
    for (const codec of codecs) opened = await codec.decode(opened).catch(() => opened);
    const texts = opened.map(({ data }) => Buffer.from(data ?? []).toString("utf8"));
    yield [shown, ...texts].join("\n");
  }
}

function isPayload(value: unknown): value is Payload {
  return typeof value === "object" && value !== null && "metadata" in value && "data" in value;
}
