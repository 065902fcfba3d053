import type { Command } from "commander";
import type { Source } from "../connectors/connector.ts";
import { ConnectorError } from "../connectors/errors.ts";
import { sources } from "../connectors/index.ts";
import { UserError } from "../domain/errors.ts";
import { formatProposal, proposeStreams } from "./propose-streams.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { writeStreams } from "./write-streams.ts";

const PATIENCE_MS = 120_000;

export function registerDiscover(program: Command): void {
  program
    .command("discover")
    .argument("<source>")
    .option("--write", "write them into the project; nothing that is there is overwritten")
    .action(async (name: string, options: { write?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ project, json }) => {
        const declaration = project.sources.find((source) => source.name === name);
        if (!declaration)
          throw new UserError(`there is no source ${name}; declare it with its connector and config first`, {
            file: "miette.yaml",
            key: "sources",
          });
        const connector = (sources as Record<string, Source<never>>)[declaration.connector] as Source<unknown>;
        const streams = await connector
          .discover(declaration.config, { directory: project.directory, signal: AbortSignal.timeout(PATIENCE_MS) })
          .catch((error: unknown) => {
            throw error instanceof ConnectorError ? new UserError(error.message, { key: `sources.${name}` }) : error;
          });
        const proposal = proposeStreams(name, streams);
        if (!options.write) return console.log(json ? JSON.stringify(proposal) : formatProposal(proposal));
        const { written, kept } = await writeStreams(project.directory, proposal);
        if (json) return console.log(JSON.stringify({ written, kept }));
        for (const path of written) console.log(`wrote ${path}`);
        for (const path of kept) console.log(`kept  ${path}, which was there`);
      });
    });
}
