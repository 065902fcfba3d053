import { Context } from "@temporalio/activity";
import { beginRotation, destroyRetired, proveKeys, rewrapKeys, type Rotation } from "../warehouse/rotation.ts";
import type { Dependencies } from "./dependencies.ts";

/** The steps of a key rotation, each of which may be interrupted and done again. */
export function keyActivities({ pool, keys }: Dependencies) {
  const tell = (count: number): void => Context.current().heartbeat(count);
  return {
    beginKeyRotation: ({ actor }: { actor: string }): Promise<Rotation> => beginRotation(pool, keys, actor),
    rewrapKeys: (rotation: Rotation): Promise<number> => rewrapKeys(pool, keys, rotation, tell),
    proveKeys: (rotation: Rotation): Promise<number> => proveKeys(pool, keys, rotation, tell),
    destroyRetiredKeys: (input: Rotation & { actor: string }): Promise<void> =>
      destroyRetired(pool, keys, input, input.actor),
  };
}
