import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InvalidArgumentError, type Command } from "commander";
import { loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import type { DeliveryReport } from "../domain/destinations.ts";
import { UserError } from "../domain/errors.ts";
import { deliveryWorkflowId } from "../domain/ids.ts";
import { audienceCsv } from "../warehouse/activation/csv.ts";
import { handOverAudience } from "../warehouse/activation/audience.ts";
import { loadSegments } from "../warehouse/models/project-graph.ts";
import { previewSegment, readSegments, type Segment } from "../warehouse/segments.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";
import { identifierKinds } from "../warehouse/requests/subject.ts";
import { registerLeaving } from "./segment-leaving.ts";
import { runWorkflow } from "./workflow.ts";
import { writeWhole } from "./write-whole.ts";

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
  segment
    .command("hand-over")
    .description("hand those customers of a segment who allow its purpose over; it goes into the audit")
    .argument("<name>", "the name of its file, such as champions")
    .requiredOption(
      "--to <recipient>",
      "a destination of the project; with --out anybody: pseudonyms are this recipient's own",
    )
    .option("--out <file>", "a file to write instead, as CSV, for its owner alone")
    .option(
      "--with <kind>",
      "with --out: a kind of identifier to open, such as email",
      (kind, all: string[]) => [...all, kind],
      [],
    )
    .action(async (name: string, options: HandOver, command: Command) => {
      const { out, to } = options;
      if (out === undefined && options.with.length > 0) {
        throw new UserError("is for files; what goes to a destination stands in its fields: in miette.yaml.", {
          key: "--with",
        });
      }
      const needs = { worker: out === undefined };
      await withSession(command.optsWithGlobals<GlobalOptions>(), needs, async (session) => {
        if (out === undefined) await deliver(session, name, to);
        else await writeFile(session, name, { ...options, out });
      });
    });
  registerLeaving(segment);
}

interface HandOver {
  to: string;
  out?: string;
  with: string[];
}

async function deliver(session: Session, segment: string, destination: string): Promise<void> {
  const names = session.project.destinations.map((each) => each.name);
  if (!names.includes(destination)) {
    const known = names.length > 0 ? `the project declares ${names.join(", ")}` : "the project declares none";
    throw new UserError(
      `is no destination; ${known}. Add it to destinations: in miette.yaml, or write a file with --out.`,
      {
        key: "--to",
      },
    );
  }
  const report = await runWorkflow<DeliveryReport>(session.client, "deliverAudience", {
    workflowId: deliveryWorkflowId(destination, segment),
    input: { segment, destination, actor: actor() },
    summary: `${segment} to ${destination}`,
    quiet: session.json,
    ended: session.stack.ended,
  });
  if (session.json) return console.log(JSON.stringify(report));
  const { delivered, removed, excluded } = report;
  console.log(`${delivered} customers delivered, ${removed} removed; ${excluded} do not allow it and are left out.`);
}

async function writeFile(session: Session, name: string, options: HandOver & { out: string }): Promise<void> {
  const chosen = (await segmentsOf(session)).get(name);
  const file = `sql/segments/${name}.sql`;
  if (!chosen) throw new UserError("there is no such segment; miette segment list shows them.", { file });
  const { consent: purpose } = chosen;
  if (purpose === null) {
    throw new UserError("names no purpose, so it is for analysis alone; add a line -- consent: marketing.", { file });
  }
  if (session.project.destinations.some((each) => each.name === options.to)) {
    throw new UserError("is a destination of the project; leave --out away, or name another recipient.", {
      key: "--to",
    });
  }
  const kinds = [...identifierKinds(session.project).keys()];
  const unknown = options.with.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined) {
    throw new UserError(`is no kind of identifier here; there are ${kinds.join(", ")}.`, { key: "--with" });
  }
  const fields = [...new Set(options.with)];
  const order = { segment: name, purpose, recipient: options.to, fields, actor: actor() };
  const report = await handOverAudience(session.activatorPool, session.vault, order, (batches) =>
    writeWhole(options.out, (out) => pipeline(Readable.from(audienceCsv(batches, fields)), out, { end: false })),
  );
  if (session.json) return console.log(JSON.stringify(report));
  console.log(`${report.members} customers written; ${report.excluded} do not allow ${purpose} and are left out.`);
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
