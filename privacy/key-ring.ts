import { join } from "node:path";
import { environmentKeys } from "./key-environment.ts";
import { keyFiles } from "./key-files.ts";
import { programKeys } from "./key-program.ts";
import { KeyRing } from "./keys.ts";

/** Where an installation keeps the keys that wrap all others: of its settings, what concerns them. */
export interface KeyPlaces {
  home: string;
  dataDirectory: string;
  keyFolder: string;
  /** Keys by generation, from the environment; null: none are given there. */
  keyGenerations: ReadonlyMap<number, Buffer> | null;
  /** Program before a key management service; null: none. */
  kmsProgram: string | null;
}

/** The key ring of an installation: a key management service where one is named, else the environment, else files. */
export function keyRingOf({ home, dataDirectory, keyFolder, keyGenerations, kmsProgram }: KeyPlaces): KeyRing {
  if (kmsProgram !== null) return new KeyRing(programKeys(kmsProgram, keyFolder));
  if (keyGenerations !== null) return new KeyRing(environmentKeys(keyGenerations));
  return new KeyRing(
    keyFiles(keyFolder, [
      { directory: dataDirectory, name: "data directory" },
      { directory: join(home, "backups"), name: "folder of the backups" },
    ]),
  );
}
