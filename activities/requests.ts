import type { RequestReport } from "../domain/requests.ts";
import { writeArchive } from "../warehouse/access/archive.ts";
import { completeAccess, deleteArchive } from "../warehouse/access/store.ts";
import { inTransaction } from "../warehouse/database.ts";
import { applyChoice, completeChoice } from "../warehouse/requests/choice.ts";
import { moveRequest } from "../warehouse/requests/store.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";
import { loadFacts } from "./sync.ts";

/** An archive that nobody has taken is deleted after so long. */
const ARCHIVE_MS = 30 * 86_400_000;

/** The steps of requests beside erasure and readmission. */
export function requestActivities(dependencies: Dependencies) {
  const { pool, vault } = dependencies;
  return {
    applyChoice: (input: { requestId: string; actor: string }): Promise<void> => applyChoice(pool, vault, input),
    completeChoice: (input: { requestId: string }): Promise<RequestReport> => completeChoice(pool, vault, input),
    async writeArchive(input: { requestId: string; actor: string }): Promise<RequestReport & { expiresInMs: number }> {
      const { requestId, actor } = input;
      await inTransaction(pool, (client) => moveRequest(client, requestId, ["received", "verified"], "running", actor));
      const expiresAt = new Date(Date.now() + ARCHIVE_MS);
      const archive = await writeArchive(pool, vault, {
        requestId,
        project: await dependencies.loadProject(),
        graph: await graphOf(dependencies),
        facts: await loadFacts(dependencies),
        expiresAt,
        retention: [],
      });
      const report = await completeAccess(pool, vault, { requestId, archive, expiresAt });
      return { ...report, expiresInMs: ARCHIVE_MS };
    },
    expireArchive: ({ requestId }: { requestId: string }): Promise<void> =>
      deleteArchive(pool, requestId, "worker", "archive_expired"),
  };
}
