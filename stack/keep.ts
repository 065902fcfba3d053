import { setTimeout as sleep } from "node:timers/promises";
import { describeExit, type RunningServer } from "./process.ts";

/** A server that is started again whenever it dies. */
export interface KeptServer<S extends RunningServer> {
  /** The server as it runs now, or ran last. */
  current(): S;
  /** How often it was started again. */
  restarts(): number;
  /** Ends the server and the keeping. */
  stop(): Promise<void>;
}

/** Waits between attempts double from the first to the second, in milliseconds: at most four starts a minute. */
const FIRST_WAIT = 200;
const LONGEST_WAIT = 15_000;

/** A server that lived this long, in milliseconds, is sound: the next failure begins at the first wait again. */
const STEADY = 60_000;

/**
 * Starts a server and starts it again when it ends. The first start's error is thrown; later ones are said and tried
 * again.
 *
 * @param name what it is, to begin a sentence: `Postgres (the warehouse)`
 * @param say called with one sentence per event
 */
export async function keepRunning<S extends RunningServer>(
  name: string,
  start: () => Promise<S>,
  say: (line: string) => void,
): Promise<KeptServer<S>> {
  const stopping = new AbortController();
  let server = await start();
  let restarts = 0;

  const keeping = (async () => {
    let failures = 0;
    for (;;) {
      const began = Date.now();
      const exit = await server.exited;
      if (stopping.signal.aborted) return;
      say(`${name} ended with ${describeExit(exit)}; it is started again.`);
      if (Date.now() - began > STEADY) failures = 0;
      for (let next: S | null = null; next === null;) {
        const wait = Math.min(FIRST_WAIT * 2 ** failures++, LONGEST_WAIT);
        await sleep(wait, undefined, { signal: stopping.signal }).catch(() => undefined);
        if (stopping.signal.aborted) return;
        next = await start().catch((error: Error) => {
          say(`${name} could not be started again: ${error.message}`);
          return null;
        });
        if (next) server = next;
      }
      // Stopped while it started: whoever stops it waits for this end, and then ends the new server.
      if (stopping.signal.aborted) return;
      restarts++;
      say(`${name} runs again.`);
    }
  })();

  return {
    current: () => server,
    restarts: () => restarts,
    async stop() {
      stopping.abort();
      await server.stop();
      await keeping;
      // A start that was under way when the keeping was stopped.
      await server.stop();
    },
  };
}
