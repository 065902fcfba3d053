import { open } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { Option, type Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { EXPORT_FORMATS, exportRelation, type ExportFormat } from "../warehouse/export-relation.ts";
import { query } from "../warehouse/read.ts";
import { printTable } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** A terminal is no place for more; `export` streams whole relations. */
const MOST_ROWS = 10_000;

export function registerQuery(program: Command): void {
  program
    .command("query")
    .description("run one SQL statement as the analyst, who reads the mart")
    .argument("<sql>")
    .action(async (sql: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const result = await query(session.analystPool, sql, MOST_ROWS);
        if (session.json) {
          console.log(JSON.stringify({ columns: result.columns, rows: result.rows }));
          if (result.isCut) console.error(`There are more than ${MOST_ROWS} rows; these are the first.`);
          return;
        }
        printTable(result.columns, result.rows);
        console.log(
          result.isCut ? `(the first ${MOST_ROWS} rows; miette export gives all)` : `(${result.rows.length} rows)`,
        );
      });
    });
  program
    .command("export")
    .description("write a relation of the mart to a file or to standard output")
    .argument("<relation>", "fct_orders, or mart.fct_orders")
    .addOption(new Option("--format <format>").choices(EXPORT_FORMATS).default("csv"))
    .option("--out <file>", "the file to write; without it, standard output")
    .action(async (relation: string, options: { format: ExportFormat; out?: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const out = options.out ? await createFile(options.out) : process.stdout;
        await exportRelation(session.analystPool, relation, options.format, out);
        if (options.out) {
          out.end();
          await finished(out);
        }
      });
    });
}

/** For its owner alone, since it may hold what the mart knows of people. */
async function createFile(path: string): Promise<NodeJS.WritableStream> {
  const file = await open(path, "w", 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`the file can't be written (${error.code ?? "unknown"}); name another with --out`, {
      file: path,
    });
  });
  return file.createWriteStream();
}
