import { Worker } from "node:worker_threads";
import type { ReadOptions, ReadStream, Source } from "../connectors/connector.ts";
import type { Json } from "../domain/streams.ts";
import type { Naming } from "../privacy/tokens.ts";
import { gather, joinSlices } from "../warehouse/landing/gather.ts";
import { unpackPage } from "../warehouse/landing/packed.ts";
import { preparePages, type PreparedPage, type Reading } from "../warehouse/landing/page.ts";
import type { ReadThreadMessage, ReadThreadTask } from "./read-thread.ts";
import { thrownInThread } from "./thread-errors.ts";

/** What a unit's pages are read from. */
export interface Reader {
  connector: Source<unknown>;
  /** Its name in the registry. */
  connectorName: string;
  config: unknown;
  streams: ReadStream[];
  cursor: Json | null;
  options: ReadOptions;
  /** How the plans were made, for a thread that makes them once more. */
  planning: ReadThreadTask["planning"];
}

/** A thread takes half a second to start, in which about this many pages are read. */
const PAGES_BEFORE_THREAD = 10;
/** Young objects of a page live as long as the page: with less room they are copied over and over. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 96 };

/**
 * The pages of a unit, read by the schemas of its streams. Where reading is work and not waiting (files are parsed here),
 * a long one goes on in a thread of its own after the first pages: reading and landing take about the same time.
 * @param watch around what the connector gives
 */
export async function* readPages(
  naming: Naming,
  reading: Reading,
  reader: Reader,
  watch: <T>(pages: AsyncIterable<T>) => AsyncIterable<T>,
): AsyncGenerator<PreparedPage> {
  const { connector, config, streams, cursor, options } = reader;
  const slices = watch(connector.read(config, streams, cursor, options));
  // A keyless part is read from its start, and so can't be taken up by another reader.
  const mayMove = connector.isParsing === true && streams.every(({ key }) => key !== null);
  let count = 0;
  let last: Json | null = null;
  for await (const parts of gather(preparePages(naming, reading, slices))) {
    const page = joinSlices(parts);
    yield page;
    count += 1;
    last = page.cursor;
    if (mayMove && count === PAGES_BEFORE_THREAD) break;
  }
  if (!mayMove || count < PAGES_BEFORE_THREAD) return;
  yield* watch(readInThread(naming, reading, { ...reader, cursor: last }));
}

async function* readInThread(naming: Naming, reading: Reading, reader: Reader): AsyncGenerator<PreparedPage> {
  const { signal, ...options } = reader.options;
  const task: ReadThreadTask = {
    connector: reader.connectorName,
    config: reader.config,
    streams: reader.streams,
    cursor: reader.cursor,
    options,
    planning: reader.planning,
    window: reading.window,
    keys: naming.recordKeys(),
  };
  const thread = new Worker(new URL("./read-thread.mjs", import.meta.url), {
    workerData: task,
    execArgv: [],
    // The warehouse's address and passwords are nothing to a reader of files.
    env: {},
    resourceLimits: THREAD_LIMITS,
  });
  const messages = new Messages(thread);
  const abort = (): void => messages.fail(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const message = await messages.next();
      if ("failure" in message) throw thrownInThread(message.failure);
      if (message.slices === null) return;
      // The thread reads on while this page lands.
      thread.postMessage("next");
      yield joinSlices(message.slices.map((slice) => unpackPage(slice, reading.plans)));
    }
  } finally {
    signal.removeEventListener("abort", abort);
    await thread.terminate();
  }
}

/** What a thread says, one after the other. */
class Messages {
  readonly #waiting: ReadThreadMessage[] = [];
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  constructor(thread: Worker) {
    thread.on("message", (message: ReadThreadMessage) => {
      this.#waiting.push(message);
      this.#wake?.();
    });
    thread.once("error", (error) => this.fail(error));
    thread.once("exit", () => this.fail(new Error("the thread that reads has ended")));
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async next(): Promise<ReadThreadMessage> {
    while (this.#waiting.length === 0) {
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#waiting.shift() as ReadThreadMessage;
  }
}
