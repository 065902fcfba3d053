import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { writeBackup } from "../warehouse/backup/write.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { backupName } from "./backup-files.ts";
import { runsInFlight } from "./runs-in-flight.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { progressOf } from "./table-progress.ts";

export function registerBackup(program: Command): void {
  program
    .command("backup")
    .description("write the warehouse's state to two files, the data and the vault, from one moment, while all goes on")
    .argument("<folder>", "where the files are written; made if it is not there")
    .option("--vault <folder>", "where the vault's file is written, kept apart from the data; without it, the same")
    .action(async (folder: string, options: { vault?: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const folders = { data: resolve(folder), vault: resolve(options.vault ?? folder) };
        for (const each of new Set(Object.values(folders))) await makeFolder(each);
        const progress = progressOf(session.json);
        const { name } = session.project;
        const written = await writeBackup(session.pool, session.vault, {
          parts: ["data", "vault"],
          project: name,
          remembered: rememberedBy(await session.graph()),
          pathOf: (part, takenAt) => join(folders[part], backupName(name, part, takenAt)),
          onTable: (_part, table, rows) => progress.show(`${table} ${rows}`),
        });
        progress.clear();
        const inFlight = await runsInFlight(session.client);
        const keys = keyRingOf(session.settings).place;
        if (session.json) return console.log(JSON.stringify({ files: written, keys, inFlight }));
        for (const { part, path, bytes, rows, tables } of written) {
          const megabytes = (bytes / 2 ** 20).toFixed(1);
          console.log(
            `${part.padEnd(5)}  ${path}  (${megabytes} MB, ${rows.toLocaleString("en-US")} rows of ${tables} tables)`,
          );
        }
        console.log(`The keys (${keys}) are not in it: keep a copy of them elsewhere, without them nothing opens.`);
        console.log(
          inFlight.length === 0
            ? "Nothing was under way in Temporal, whose state is not in it; schedules come back with miette schedules apply."
            : `Temporal's state is not in it: ${inFlight.join(", ")} under way would be started anew after a restore.`,
        );
      });
    });
}

/** Relations of core and mart that hold what can't be computed again. */
export function rememberedBy(graph: Graph): string[] {
  return graph.steps.flatMap((step) => (step.kind === "node" ? (step.node.remembers ?? []) : []));
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`the folder can't be made (${error.code ?? "unknown"})`, { file: path });
  });
}
