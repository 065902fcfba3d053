import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, UserError } from "../domain/errors.ts";
import type { KeyKeeper } from "./keys.ts";

const PATIENCE_MS = 30_000;
const LONGEST_ANSWER = 16_384;

/**
 * Keys that a key management service wraps, by a program of the operator's: `PROGRAM wrap N` and `PROGRAM unwrap N` read
 * one line of base64 and answer with one, `PROGRAM destroyGeneration N` destroys the service's key; exit code 0 means
 * done. A generation's key is drawn here, wrapped by the service and kept as `generation-N.wrapped`: worth nothing
 * without the service, which is asked once per generation and process.
 * @param program absolute path
 * @param folder where wrapped keys are kept
 */
export function programKeys(program: string, folder: string): KeyKeeper {
  const pathOf = (generation: number): string => join(folder, `generation-${generation}.wrapped`);
  return {
    place: `the service behind ${program}`,
    async read(generation) {
      const path = pathOf(generation);
      const wrapped = await readFile(path, "utf8").catch(() => {
        throw new UserError("the wrapped key is missing or can't be read; restore it, or set MIETTE_KEY_FOLDER", {
          file: path,
        });
      });
      const key = Buffer.from(await ask(program, "unwrap", generation, wrapped.trim()), "base64");
      if (key.length !== 32)
        throw new UserError("unwrap answered with something else than a key of 32 bytes", { file: program });
      return key;
    },
    async create(generation) {
      const path = pathOf(generation);
      if (await readFile(path).catch(() => null)) return;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const wrapped = await ask(program, "wrap", generation, randomBytes(32).toString("base64"));
      const draft = `${path}.${randomBytes(6).toString("hex")}`;
      await writeFile(draft, `${wrapped}\n`, { mode: 0o400, flag: "wx", flush: true });
      await link(draft, path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      });
      await unlink(draft);
    },
    async destroy(generation) {
      if (!(await readFile(pathOf(generation)).catch(() => null))) return;
      await ask(program, "destroyGeneration", generation, "");
      await rm(pathOf(generation), { force: true });
    },
  };
}

/** What the program says besides its answer is not shown: it may hold what it was given. */
async function ask(program: string, verb: string, generation: number, line: string): Promise<string> {
  const child = spawn(program, [verb, String(generation)], { stdio: ["pipe", "pipe", "ignore"], timeout: PATIENCE_MS });
  let answer = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
    if (answer.length > LONGEST_ANSWER) child.kill();
  });
  // A program that ends without reading closes the pipe; its exit code tells.
  child.stdin.on("error", () => undefined).end(line === "" ? "" : `${line}\n`);
  const how = await new Promise<string | null>((resolve) => {
    child.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "no start"));
    child.on("close", (code, signal) => resolve(code === 0 ? null : (signal ?? `exit code ${code}`)));
  });
  if (how === null) return answer.trim();
  throw new CodedError("key_missing", `${program} ${verb} ${generation} ended with ${how}`, { retryable: true });
}
