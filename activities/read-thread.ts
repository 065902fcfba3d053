import { parentPort, workerData } from "node:worker_threads";
import type { ReadOptions, ReadStream, Source } from "../connectors/connector.ts";
import { sources } from "../connectors/index.ts";
import type { Json, Stream } from "../domain/streams.ts";
import { RecordNaming, type NamingKeys } from "../privacy/tokens.ts";
import { gather } from "../warehouse/landing/gather.ts";
import { buffersOf, packPage, type PackedPage } from "../warehouse/landing/packed.ts";
import { preparePages, type PreparedPage, type Reading } from "../warehouse/landing/page.ts";
import { planStream } from "../warehouse/landing/plan.ts";
import { failureOf, type ThreadFailure } from "./thread-errors.ts";

/** What a thread is to read. */
export interface ReadThreadTask {
  /** Its name in the registry. */
  connector: string;
  config: unknown;
  streams: ReadStream[];
  cursor: Json | null;
  options: Omit<ReadOptions, "signal">;
  planning: { streams: Stream[]; settings: Parameters<typeof planStream>[2] };
  window: Reading["window"];
  keys: Pick<NamingKeys, "record" | "content">;
}

/**
 * The slices of a page; null where there are no more. After each page the thread reads one more, and then waits for
 * `next`.
 */
export type ReadThreadMessage = { slices: PackedPage[] | null } | { failure: ThreadFailure };

const { connector, config, streams, cursor, options, planning, window, keys } = workerData as ReadThreadTask;
const port = parentPort!;

try {
  const source = sources[connector as keyof typeof sources] as Source<unknown>;
  const plans = new Map(
    planning.streams.map((stream) => [stream.name, planStream(stream, source.values === "text", planning.settings)]),
  );
  const naming = new RecordNaming({ record: Buffer.from(keys.record), content: Buffer.from(keys.content) });
  // Ends with the thread.
  const { signal } = new AbortController();
  const read = source.read(config, streams, cursor, { ...options, signal });
  let isAsked = true;
  let wake: (() => void) | null = null;
  port.on("message", () => {
    isAsked = true;
    wake?.();
  });
  // Packed slice by slice, so that nothing of a record lives longer than its slice but the texts of it.
  const packed = packEach(preparePages(naming, { plans, window }, read));
  for await (const slices of gather(packed)) {
    while (!isAsked) await new Promise<void>((resolve) => (wake = resolve));
    isAsked = false;
    port.postMessage({ slices } satisfies ReadThreadMessage, slices.flatMap(buffersOf));
  }
  port.postMessage({ slices: null } satisfies ReadThreadMessage);
} catch (error) {
  port.postMessage({ failure: failureOf(error) } satisfies ReadThreadMessage);
}
port.close();

async function* packEach(slices: AsyncIterable<PreparedPage>): AsyncGenerator<PackedPage> {
  for await (const slice of slices) yield packPage(slice);
}
