import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";

const CANARY = "canary-7f3a@victim.test";

/** Runs a script that crashes, with everything switched on by which Node would write about it. */
async function crash(
  script: string,
  switchedOn: string[] = [],
): Promise<{ said: string; code: number | undefined; files: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "miette-crash-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const source = `import { pino } from "pino";
    import { keepCrashesQuiet } from "./activities/crashes.ts";
    import { UserError } from "./domain/errors.ts";
    keepCrashesQuiet(pino(), process.execArgv);
    ${script}`;
  const options = [
    "--report-on-fatalerror",
    "--report-uncaught-exception",
    `--report-directory=${folder}`,
    ...switchedOn,
    "--import",
    "tsx",
    "--input-type=module",
    "--eval",
    source,
  ];
  const ended = await promisify(execFile)(process.execPath, options, { cwd: PACKAGE_DIRECTORY }).then(
    ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
  return { said: ended.stdout + ended.stderr, code: ended.code, files: await readdir(folder) };
}

test("an error that nobody caught ends the process with a code and a place, and its message reaches no log and no report", async () => {
  for (const script of [
    `setTimeout(() => { throw new TypeError("can't read ${CANARY}") })`,
    `void Promise.reject(new Error("${CANARY}\\n    at ${CANARY} (/x.ts:1:1)"))`,
    `await Promise.reject(Object.assign(new Error("${CANARY}"), { code: "${CANARY}", detail: "${CANARY}" }))`,
    `setTimeout(() => { throw "${CANARY}" })`,
  ]) {
    const { said, code, files } = await crash(script);
    expect(code, script).toBe(1);
    expect(said, script).toContain('"msg":"crashed"');
    expect(said, script).not.toContain("canary");
    expect(files, script).toEqual([]);
  }
});

test("what a person has to mend is said as it stands", async () => {
  const { said, code } = await crash(`throw new UserError("the key file is missing")`);
  expect(code).toBe(1);
  expect(said).toContain("the key file is missing");
});

test("a core dump holds no memory, and Node is not let to write its heap to disk", async () => {
  const { said } = await crash(
    `import { readFileSync } from "node:fs"; console.log("filter " + readFileSync("/proc/self/coredump_filter", "utf8"))`,
  );
  if (process.platform === "linux") expect(said).toMatch(/^filter 0+$/m);
  const asked = await crash("console.log('it runs')", ["--heapsnapshot-signal=SIGUSR2"]);
  expect(asked.code).not.toBe(0);
  expect(asked.said).toContain("--heapsnapshot-signal would write records and keys to disk");
  expect(asked.said).not.toContain("it runs");
});
