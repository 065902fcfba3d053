import { fileURLToPath } from "node:url";
import type { DataConverter } from "@temporalio/common";
import type pg from "pg";
import { SealingCodec } from "../privacy/payload-codec.ts";
import type { Vault } from "./vault.ts";

/** What a workflow bundle takes from the data converter. */
export const FAILURE_CONVERTER_PATH = fileURLToPath(new URL("../workflows/failure-converter.cjs", import.meta.url));

const PURPOSE = "payload";

/** The codec of payloads under the vault's keys: their ids are the versions of the key `payload`. */
export function payloadCodec(pool: pg.Pool, vault: Vault): SealingCodec {
  return new SealingCodec({
    async current() {
      const { version, key } = await vault.latestKey(pool, PURPOSE);
      return { id: String(version), key };
    },
    find: async (id) => (/^\d{1,9}$/.test(id) ? await vault.keyOfVersion(pool, PURPOSE, Number(id)) : null),
  });
}

/** The same for every client and worker: what Temporal keeps is sealed, failures included. */
export function dataConverter(pool: pg.Pool, vault: Vault): DataConverter {
  return { payloadCodecs: [payloadCodec(pool, vault)], failureConverterPath: FAILURE_CONVERTER_PATH };
}
