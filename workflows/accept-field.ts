import { setCurrentDetails } from "@temporalio/workflow";
import type { AcceptFieldInput, AcceptFieldReport } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { requestBuild } from "./request-build.ts";
import { describeRun } from "./search-attributes.ts";

/** Declares a field that landed sealed, and brings the rows that hold it under the new schema. */
export async function acceptField(input: AcceptFieldInput): Promise<AcceptFieldReport> {
  const { source, stream, actor } = input;
  describeRun({ kind: "schema", source });
  setCurrentDetails(`${source}.${stream}: declaring a field`);
  const accepted = await planning.acceptField(input);
  setCurrentDetails(`${source}.${stream}: rows that landed before`);
  const rows = await workingOn(`${source}.${stream}`).reprocessStream({ source, stream, actor });
  setCurrentDetails(`${source}.${stream}: ${rows.rowsChanged} rows changed`);
  if (rows.rowsChanged > 0) await requestBuild();
  return { ...accepted, ...rows };
}
