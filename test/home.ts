import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** An empty folder for one test, which Postgres's account may enter when the tests run as root. */
export async function temporaryHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "miette-home-"));
  await chmod(home, 0o755);
  onTestFinished(async () => await rm(home, { recursive: true, force: true }));
  return home;
}
