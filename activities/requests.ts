import type { RequestReport } from "../domain/requests.ts";
import { writeArchive } from "../warehouse/access/archive.ts";
import { completeAccess, deleteArchive } from "../warehouse/access/store.ts";
import { inTransaction } from "../warehouse/database.ts";
import { applyChoice, completeChoice } from "../warehouse/requests/choice.ts";
import { completeCorrection, correctStream, readValues, releaseCorrections } from "../warehouse/requests/correct.ts";
import { moveRequest, readRequest } from "../warehouse/requests/store.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";
import { openStream } from "./reprocess.ts";
import { revokeDeliveriesSoon } from "./revocations.ts";
import { loadFacts } from "./sync.ts";

/** An archive that nobody has taken is deleted after so long. */
const ARCHIVE_MS = 30 * 86_400_000;

function streamOf(field: string): string {
  return field.split(".").slice(0, 2).join(".");
}

/** The steps of requests beside erasure and readmission. */
export function requestActivities(dependencies: Dependencies) {
  const { pool, vault } = dependencies;
  return {
    async applyChoice(input: { requestId: string; actor: string }): Promise<void> {
      await applyChoice(pool, vault, input);
      await revokeDeliveriesSoon(pool);
    },
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
      });
      const report = await completeAccess(pool, vault, { requestId, archive, expiresAt });
      return { ...report, expiresInMs: ARCHIVE_MS };
    },
    /** @returns how many values were corrected or, where it is taken back, stand again */
    async correctSubject(input: { requestId: string; actor: string; isReleased: boolean }): Promise<number> {
      const { requestId, actor, isReleased } = input;
      const { terms } = await readRequest(pool, requestId);
      const values = isReleased ? {} : await readValues(pool, vault, requestId);
      if (!isReleased) {
        await inTransaction(pool, (client) =>
          moveRequest(client, requestId, ["received", "verified"], "running", actor),
        );
      }
      let count = 0;
      for (const name of new Set((terms.fields ?? []).map(streamOf))) {
        const [source, stream] = name.split(".") as [string, string];
        const { plan } = await openStream(dependencies, { source, stream });
        const fields = (terms.fields ?? []).filter((field) => streamOf(field) === name);
        const right = new Map(fields.map((field) => [field.slice(name.length + 1), values[field] ?? null]));
        count += isReleased
          ? await releaseCorrections(pool, vault, requestId, plan, actor)
          : await correctStream(pool, vault, requestId, { plan, values: right }, actor);
      }
      return count;
    },
    completeCorrection: (input: { requestId: string; corrected: number }): Promise<RequestReport> =>
      completeCorrection(pool, vault, input),
    expireArchive: ({ requestId }: { requestId: string }): Promise<void> =>
      deleteArchive(pool, requestId, "worker", "archive_expired"),
  };
}
