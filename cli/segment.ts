import { join } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import { loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import { UserError } from "../domain/errors.ts";
import { loadSegments } from "../warehouse/models/project-graph.ts";
import { previewSegment, readSegments, type Segment } from "../warehouse/segments.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";

export function registerSegment(program: Command): void {
  const segment = program.command("segment");
  segment
    .command("list")
    .description("every segment with its size in the mart as it was published last")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const segments = await segmentsOf(session);
        const published = await readSegments(session.analystPool);
        const rows = [...segments.values()].map(({ name, description, consent }) => {
          const { customers = null, share = null } = published.get(name) ?? {};
          return { segment: name, customers, share, consent, description };
        });
        printRows(rows, { json: session.json, empty: "There are no segments; add a file to sql/segments." });
        if (!session.json && rows.some(({ customers }) => customers === null))
          console.log("A segment without a size is counted by the next build; miette segment preview counts it now.");
      });
    });
  segment
    .command("preview")
    .description("a segment's size, share of all customers and a sample of ids, computed now")
    .argument("<name>", "the name of its file, such as champions")
    .option("--sample <count>", "how many ids to show", count, 10)
    .action(async (name: string, options: { sample: number }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const segments = await segmentsOf(session);
        const chosen = segments.get(name);
        if (!chosen) {
          const names = [...segments.keys()].join(", ");
          throw new UserError(`there is no segment ${name}; ${names ? `there are ${names}` : "add it"}.`, {
            file: `sql/segments/${name}.sql`,
          });
        }
        const preview = await previewSegment(session.analystPool, chosen, options.sample);
        if (session.json) {
          console.log(JSON.stringify({ segment: name, ...preview }));
          return;
        }
        const share = preview.share === null ? "" : `, ${(preview.share * 100).toFixed(1)}% of all`;
        console.log(`${name}   ${chosen.description}`);
        console.log(`${preview.customers.toLocaleString("en-US")} customers${share}`);
        for (const id of preview.sample) console.log(id);
      });
    });
}

/** The graph is loaded first: it tells what a segment may not read. */
async function segmentsOf(session: Session): Promise<Map<string, Segment>> {
  await session.graph();
  return await loadSegments(await loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), session.settings.projectDirectory));
}

function count(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("write a whole number up to 9999.");
  return Number(text);
}
