import { Option, type Command } from "commander";
import { EXPORT_FORMATS, exportRelation, type ExportFormat } from "../warehouse/export-relation.ts";
import { query } from "../warehouse/read.ts";
import { printTable } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { writeWhole } from "./write-whole.ts";

/** A terminal is no place for more; `export` streams whole relations. */
const MOST_ROWS = 10_000;

export function registerQuery(program: Command): void {
  program
    .command("query")
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
    .argument("<relation>", "fct_orders, or mart.fct_orders")
    .addOption(new Option("--format <format>").choices(EXPORT_FORMATS).default("csv"))
    .option("--out <file>", "the file to write; without it, standard output")
    .action(async (relation: string, options: { format: ExportFormat; out?: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const write = (out: NodeJS.WritableStream) =>
          exportRelation(session.analystPool, relation, options.format, out);
        await (options.out === undefined ? write(process.stdout) : writeWhole(options.out, write));
      });
    });
}
