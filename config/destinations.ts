import type { DestinationDeclaration } from "../domain/project.ts";
import type { Config, ConnectorConfigs } from "./connector-config.ts";
import type { Findings } from "./findings.ts";
import type { FieldKinds } from "./sources.ts";
import { hint } from "./suggest.ts";
import { isObject } from "./yaml-file.ts";

export interface DestinationBlock {
  connector: string;
  config?: Config;
  fields?: Record<string, string>;
  counts_as?: string[];
}

/**
 * The declared destinations.
 * @param fieldKinds the identifier kinds of the schemas; null where a schema could not be read, which has been told
 */
export function readDestinations(
  blocks: Record<string, DestinationBlock>,
  fieldKinds: FieldKinds | null,
  connectors: ConnectorConfigs,
  findings: Findings,
): DestinationDeclaration[] {
  const kinds = fieldKinds?.all.filter((kind) => !fieldKinds.matchKeys.includes(kind));
  return Object.entries(blocks).flatMap(([name, block]) => {
    if (!isObject(block)) return [];
    const path = ["destinations", name];
    const fields = Object.entries(isObject(block.fields) ? (block.fields as Record<string, string>) : {});
    for (const [field, kind] of fields) {
      if (!kinds || typeof kind !== "string" || kinds.includes(kind)) continue;
      findings.report(
        [...path, "fields", field],
        `${JSON.stringify(kind)} is no kind of identifier of the schemas${hint(kind, kinds, "there are")}`,
      );
    }
    connectors.check(block, path, findings);
    return [
      {
        name,
        connector: block.connector,
        config: isObject(block.config) ? block.config : {},
        fields: Object.fromEntries(fields),
        countsAs: block.counts_as ?? [],
      },
    ];
  });
}
