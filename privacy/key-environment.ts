import { UserError } from "../domain/errors.ts";
import type { KeyKeeper } from "./keys.ts";

const VARIABLE = "MIETTE_KEY_GENERATIONS";

/**
 * Keys that an operator's secret store puts into the environment. What made them has to make and destroy them too, so a
 * rotation stops with a sentence until it has.
 * @param keys 32 bytes each, by generation
 */
export function environmentKeys(keys: ReadonlyMap<number, Buffer>): KeyKeeper {
  const read = (generation: number): Promise<Buffer> => {
    const key = keys.get(generation);
    if (key) return Promise.resolve(key);
    return Promise.reject(
      new UserError(`has no key of generation ${generation}; add ${generation}: and 64 hex digits, and start again`, {
        key: VARIABLE,
      }),
    );
  };
  return {
    place: `the environment variable ${VARIABLE}`,
    read,
    create: async (generation) => void (await read(generation)),
    async destroy(generation) {
      if (!keys.has(generation)) return;
      throw new UserError(
        `generation ${generation} has wrapped nothing any more; remove it here and from where the variable comes, start again, and run miette keys rotate once more`,
        { key: VARIABLE },
      );
    },
  };
}
