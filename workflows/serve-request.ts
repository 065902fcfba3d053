import { getExternalWorkflowHandle, ParentClosePolicy, setHandler, sleep, startChild } from "@temporalio/workflow";
import { requestWorkflow } from "../domain/ids.ts";
import { health, planning } from "./activities.ts";
import { cancel, identified } from "./attend-request.ts";
import { isAlreadyStarted } from "./apart.ts";
import { describeRun } from "./search-attributes.ts";

/** After these pauses a controller that could not be told is told again. */
const PAUSES = ["0s", "1m", "10m", "1h", "6h", "24h"] as const;

/** A request that came by the API: has it carried out, and tells whoever handed it over what has become of it. */
export async function serveRequest({ requestId }: { requestId: string }): Promise<void> {
  describeRun({ kind: "request" });
  const kind = await planning.readKind({ requestId });
  const { type, workflowId } = requestWorkflow(kind, requestId);
  // What is signalled before the workflow runs, or after it has ended, changes nothing that the warehouse does not know.
  const pass = async (signal: typeof cancel | typeof identified, args: [string] | []): Promise<void> => {
    await getExternalWorkflowHandle(workflowId)
      .signal(signal as typeof cancel, ...(args as [string]))
      .catch(() => undefined);
  };
  try {
    const child = await startChild(type, {
      workflowId,
      args: [{ requestId, actor: "api", approvedBy: null }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
    });
    setHandler(cancel, async (actor) => await pass(cancel, [actor]));
    setHandler(identified, async () => await pass(identified, []));
    await child.result().catch(() => undefined);
  } catch (error) {
    if (!isAlreadyStarted(error)) throw error;
  }
  for (const pause of PAUSES) {
    if (pause !== "0s") await sleep(pause);
    const isTold = await health.tellController({ requestId }).catch(() => false);
    if (isTold) return;
  }
}
