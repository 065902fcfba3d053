import { setCurrentDetails } from "@temporalio/workflow";
import type { TokenRekeying } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/**
 * Names all identifiers under a new key: what the new names are is found out beside the running work, and only the
 * renaming itself is done while everybody else waits. One that failed or was cut off is taken up by the next.
 */
export async function rekeyTokens(input: { actor: string }): Promise<TokenRekeying> {
  describeRun({ kind: "keys" });
  await planning.beginRekeying(input);
  setCurrentDetails("finding the new names");
  await workingOn("find the new names").mapTokens();
  setCurrentDetails("waiting for those who write");
  await workingOn("wait for those who write").closeForRenaming();
  await workingOn("find the names of what came meanwhile").mapTokens();
  setCurrentDetails("renaming");
  await workingOn("rename tokens").renameTokens();
  setCurrentDetails("proving");
  const report = await workingOn("prove the new names").proveAndSwitchTokens(input);
  setCurrentDetails(`done, ${report.identifiers} identifiers`);
  return report;
}

/** Destroys the former key once nothing needs it. */
export async function retireTokens(input: { actor: string }): Promise<boolean> {
  describeRun({ kind: "keys" });
  return await workingOn("prove that nothing needs the former key").retireTokenKey(input);
}
