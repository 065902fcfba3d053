import type { Source } from "./connector.ts";
import { csv } from "./csv/source.ts";
import { jsonl } from "./jsonl/source.ts";
import { postgres } from "./postgres/source.ts";

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
