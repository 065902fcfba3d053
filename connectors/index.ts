import type { Source } from "./connector.ts";
import { csvDirectory } from "./csv/destination.ts";
import { csv } from "./csv/source.ts";
import type { Destination } from "./destination.ts";
import { jsonl } from "./jsonl/source.ts";
import { manual } from "./manual/destination.ts";
import { postgres } from "./postgres/source.ts";
import { webhook } from "./webhook/destination.ts";

/** The registry: the `connector:` of a source in the project file is one of these names, which are those of the folders. */
export const sources = {
  csv,
  jsonl,
  postgres,
} satisfies Record<string, Source<never>>;

/** JSON Schema of the `config` of each connector, by its name. */
export const sourceSpecs: Record<string, object> = Object.fromEntries(
  Object.entries(sources).map(([name, { spec }]) => [name, spec]),
);

/** The registry of destinations, likewise: the `connector:` of a destination in the project file is one of these names. */
export const destinations = {
  csv: csvDirectory,
  manual,
  webhook,
} satisfies Record<string, Destination<never>>;

/** JSON Schema of the `config` of each destination connector, by its name. */
export const destinationSpecs: Record<string, object> = Object.fromEntries(
  Object.entries(destinations).map(([name, { spec }]) => [name, spec]),
);
