import { mkdir, statfs, writeFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import type { Settings } from "../config.ts";
import type { Source } from "../connectors/connector.ts";
import { sources } from "../connectors/index.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { settingsOf, withSession, type GlobalOptions, type Session } from "./session.ts";

const LEAST_FREE_BYTES = 1 << 30;
const PATIENCE_MS = 30_000;

interface Finding {
  what: string;
  isWell: boolean;
  detail: string;
}

export function registerDoctor(program: Command): void {
  program.command("doctor").action(async (_options: unknown, command: Command) => {
    const options = command.optsWithGlobals<GlobalOptions>();
    const settings = settingsOf(options);
    const findings = [
      await examine("Node", async () => nodeVersion()),
      await examine("home", () => homeFolder(settings)),
      ...(await examineRunning(options)),
    ];
    if (options.json) console.log(JSON.stringify(findings));
    else
      for (const { what, isWell, detail } of findings) console.log(`${isWell ? "well" : "BAD "}  ${what}: ${detail}`);
    if (findings.some(({ isWell }) => !isWell)) process.exitCode = 2;
  });
}

/** What can be seen only with the servers up: they themselves, the project, the key, and each source. */
async function examineRunning(options: GlobalOptions): Promise<Finding[]> {
  try {
    return await withSession(options, { worker: true }, async (session) => [
      {
        what: "servers",
        isWell: true,
        detail: `Postgres, Temporal at ${session.stack.temporalAddress} and the worker run`,
      },
      { what: "project", isWell: true, detail: `${session.project.name} in ${session.project.directory}` },
      await examine(
        "models",
        async () => `${(await session.graph()).steps.length} steps, ${(await session.graph()).checks.length} checks`,
      ),
      { what: "keys", isWell: true, detail: keyRingOf(session.settings).place },
      ...(await Promise.all(
        session.project.sources.map(({ name }) => examine(`source ${name}`, () => reach(session, name))),
      )),
    ]);
  } catch (error) {
    return [
      { what: "servers and project", isWell: false, detail: error instanceof Error ? error.message : String(error) },
    ];
  }
}

async function reach({ project }: Session, name: string): Promise<string> {
  const declaration = project.sources.find((source) => source.name === name);
  const connector = (sources as Record<string, Source<never>>)[declaration?.connector ?? ""] as Source<unknown>;
  const declared = declaration?.streams.map(({ config }) => config) ?? [];
  // Streams may bring their own configs; a source without streams is what discover starts from.
  const configs = declared.length > 0 ? declared : [declaration?.config];
  const distinct = new Map(configs.map((config) => [JSON.stringify(config), config]));
  let found = 0;
  for (const config of distinct.values()) {
    const streams = await connector.discover(config, {
      directory: project.directory,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    found += streams.length;
  }
  return `reached, ${found} streams in it`;
}

async function examine(what: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { what, isWell: true, detail: await look() };
  } catch (error) {
    return { what, isWell: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

function nodeVersion(): string {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) throw new Error(`version ${process.versions.node} is too old; install 20 or 24`);
  return process.versions.node;
}

async function homeFolder({ home }: Settings): Promise<string> {
  await mkdir(home, { recursive: true });
  const probe = join(home, ".probe");
  await writeFile(probe, "");
  await rm(probe);
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  if (free < LEAST_FREE_BYTES)
    throw new Error(
      `${home} has ${Math.round(free / 2 ** 20)} MB left; free a GB, or set MIETTE_HOME to a larger disk`,
    );
  return `${home}, ${Math.round(free / 2 ** 30)} GB free`;
}
