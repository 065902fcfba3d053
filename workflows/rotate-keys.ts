import { setCurrentDetails } from "@temporalio/workflow";
import type { KeyRotationReport } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/**
 * Wraps all living keys under a new generation, proves that they open, and only then destroys the old one. A rotation
 * that failed is taken up by the next.
 */
export async function rotateKeys(input: { actor: string }): Promise<KeyRotationReport> {
  describeRun({ kind: "keys" });
  const rotation = await planning.beginKeyRotation(input);
  const names = `from generation ${rotation.retiring.join(", ")} to ${rotation.current}`;
  setCurrentDetails(`${names}: wrapping`);
  await workingOn("wrap the living keys").rewrapKeys(rotation);
  setCurrentDetails(`${names}: proving`);
  const keys = await workingOn("prove the new generation").proveKeys(rotation);
  await planning.destroyRetiredKeys({ ...rotation, actor: input.actor });
  setCurrentDetails(`${names}: done, ${keys} keys`);
  return { generation: rotation.current, destroyed: rotation.retiring, keys };
}
