import {
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
  type SignalDefinition,
  type Workflow,
} from "@temporalio/workflow";

interface Apart<T extends Workflow> {
  workflowId: string;
  args: Parameters<T>;
  summary: string;
  /** Whether one of this id that has ended well may run again. */
  again: boolean;
}

/**
 * Starts a workflow that goes on when its parent has ended.
 * @returns false where one of this id runs already or, unless `again`, has ended well
 */
export async function startApart<T extends Workflow>(workflow: T, options: Apart<T>): Promise<boolean> {
  try {
    await startChild(workflow as Workflow, {
      args: options.args,
      workflowId: options.workflowId,
      workflowIdReusePolicy: options.again
        ? WorkflowIdReusePolicy.ALLOW_DUPLICATE
        : WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: options.summary,
    });
    return true;
  } catch (error) {
    if (isAlreadyStarted(error)) return false;
    throw error;
  }
}

/** Starts a workflow apart, or tells the one that runs that there is more to do. */
export async function startOrSignal<T extends Workflow>(
  workflow: T,
  options: Omit<Apart<T>, "again">,
  more: SignalDefinition,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    if (await startApart(workflow, { ...options, again: true })) return;
    try {
      return await getExternalWorkflowHandle(options.workflowId).signal(more);
    } catch (error) {
      // It ended between the two calls: it has to be started after all.
      if (attempt === 3) throw error;
    }
  }
}

export function isAlreadyStarted(error: unknown): boolean {
  return error instanceof Error && error.name === "WorkflowExecutionAlreadyStartedError";
}
