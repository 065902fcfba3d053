import { Context } from "@temporalio/activity";
import type { TokenRekeying } from "../domain/runs.ts";
import { mapMatchKeys } from "../warehouse/rekey/match-keys.ts";
import {
  beginRekeying,
  closeForRenaming,
  mapIdentifiers,
  proveAndSwitch,
  renameAll,
  retireTokenKey,
} from "../warehouse/rekey/rekey.ts";
import { beginRotation, destroyRetired, proveKeys, rewrapKeys, type Rotation } from "../warehouse/rotation.ts";
import type { Dependencies } from "./dependencies.ts";
import { plansOf } from "./reprocess.ts";

/** The steps of a key rotation and of a re-keying of tokens, each of which may be interrupted and done again. */
export function keyActivities(dependencies: Dependencies) {
  const { pool, keys, vault } = dependencies;
  const tell = (count: number): void => Context.current().heartbeat(count);
  return {
    beginKeyRotation: ({ actor }: { actor: string }): Promise<Rotation> => beginRotation(pool, keys, actor),
    rewrapKeys: (rotation: Rotation): Promise<number> => rewrapKeys(pool, keys, rotation, tell),
    proveKeys: (rotation: Rotation): Promise<number> => proveKeys(pool, keys, rotation, tell),
    destroyRetiredKeys: (input: Rotation & { actor: string }): Promise<void> =>
      destroyRetired(pool, keys, input, input.actor),
    beginRekeying: ({ actor }: { actor: string }): Promise<void> => beginRekeying(pool, vault, actor),
    /** Made before the warehouse is closed, and of what came since once it is. */
    async mapTokens(): Promise<void> {
      await mapIdentifiers(pool, vault, tell);
      for (const plan of await plansOf(dependencies)) await mapMatchKeys(pool, vault, plan, tell);
    },
    closeForRenaming: (): Promise<void> => closeForRenaming(pool),
    renameTokens: async (): Promise<void> => void (await renameAll(pool, vault, tell)),
    proveAndSwitchTokens: ({ actor }: { actor: string }): Promise<TokenRekeying> => proveAndSwitch(pool, vault, actor),
    retireTokenKey: ({ actor }: { actor: string }): Promise<boolean> => retireTokenKey(pool, vault, actor),
  };
}
