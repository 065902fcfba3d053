import { Context } from "@temporalio/activity";
import type { ActivityInboundCallsInterceptor } from "@temporalio/worker";
import { ApplicationFailure } from "@temporalio/common";
import type { Logger } from "pino";

/** What of an activity's input names its work: ids and names, never a record. */
const NAMES = ["source", "streams", "stream", "syncId", "share", "buildId", "step", "workflowId", "subject"] as const;

/** An interceptor that writes one line when an activity ends: what it worked at, in which run, for how long, how it ended. */
export function loggedActivities(log: Logger): () => { inbound: ActivityInboundCallsInterceptor } {
  return () => ({
    inbound: {
      async execute(input, next) {
        const { activityType, attempt, workflowExecution } = Context.current().info;
        const began = performance.now();
        const line = (end: object) => ({
          activity: activityType,
          attempt,
          workflow: workflowExecution?.workflowId,
          run: workflowExecution?.runId,
          ...namesOf(input.args[0]),
          milliseconds: Math.round(performance.now() - began),
          ...end,
        });
        try {
          const result = await next(input);
          log.info(line({}), "done");
          return result;
        } catch (error) {
          const code = error instanceof ApplicationFailure ? error.type : (error as Error).name;
          log.warn(line({ code }), "failed");
          throw error;
        }
      },
    },
  });
}

function namesOf(input: unknown): Record<string, unknown> {
  const all = (input ?? {}) as Record<string, unknown>;
  return Object.fromEntries(NAMES.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])));
}
