import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { scopeBreach, type Leak } from "../warehouse/breach.ts";
import { actor } from "./actor.ts";
import { printTable } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { parseTime } from "./time.ts";

interface BreachOptions {
  batch?: string;
  recipient?: string;
  generation?: string;
  from?: Date;
  to?: Date;
}

export function registerBreach(program: Command): void {
  program
    .command("breach")
    .description("whom a leak touches, as references and counts; it goes into the audit")
    .option("--batch <id>", "what was handed over in one batch")
    .option("--recipient <name>", "all that one recipient was handed")
    .option("--generation <number>", "what the keys of a generation open")
    .option("--from <time>", "from when on, ISO 8601", parseTime)
    .option("--to <time>", "until when, ISO 8601", parseTime)
    .action(async (options: BreachOptions, command: Command) => {
      const leak = readLeak(options);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ pool, json }) => {
        const span = { from: options.from ?? null, to: options.to ?? null };
        const scope = await scopeBreach(pool, leak, span, actor());
        if (json) return console.log(JSON.stringify(scope));
        console.log(`${scope.subjects.length} people, ${scope.unassigned} identifiers that are nobody's`);
        if (scope.byChannel.length > 0) {
          printTable(
            ["recipient", "audience", "purpose", "fields", "people"],
            scope.byChannel.map((each) => [each.recipient, each.audience, each.purpose, each.fields, each.people]),
          );
        }
        printTable(
          ["law", "people"],
          scope.byJurisdiction.map(({ jurisdiction, people }) => [jurisdiction ?? "not known", people]),
        );
        for (const subject of scope.subjects) console.log(subject);
      });
    });
}

function readLeak({ batch, recipient, generation }: BreachOptions): Leak {
  const given = [batch, recipient, generation].filter((each) => each !== undefined);
  if (given.length !== 1) throw new UserError("give one of --batch, --recipient and --generation", { key: "breach" });
  if (batch !== undefined) return { batch };
  if (recipient !== undefined) return { recipient };
  if (!/^[1-9]\d{0,8}$/.test(generation as string))
    throw new UserError("must be a whole number", { key: "--generation" });
  return { generation: Number(generation) };
}
