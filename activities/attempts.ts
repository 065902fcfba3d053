import { Context } from "@temporalio/activity";
import { ApplicationFailure } from "@temporalio/common";
import type { ActivityInboundCallsInterceptor } from "@temporalio/worker";
import { WAITING_SIGNAL } from "../domain/ids.ts";

/** Attempts that an activity has, those apart in which the warehouse was away: with the workflows' pauses, 90 s. */
const ATTEMPTS = 8;
/** Attempts that find the warehouse away, 30 s apart: 12 hours. */
const OUTAGES = 1_440;
/** A restart of the warehouse takes seconds and is not worth telling; from this attempt on it is away. */
const TOLD_AT = 3;
const HEARTBEAT_MS = 2_000;

/** What an activity's heartbeats hold, for its next attempt. */
interface Beat {
  outages: number;
}

/**
 * An interceptor that lets the server hear every two seconds that the work goes on, and decides how often it is tried
 * again: a warehouse that is away is waited for, by hours, since nothing else could be done meanwhile; anything else
 * that may pass has eight attempts, and so has an activity whose workers die with it.
 */
export function boundedAttempts(): { inbound: ActivityInboundCallsInterceptor } {
  return {
    inbound: {
      async execute(input, next) {
        const context = Context.current();
        const { attempt, heartbeatDetails } = context.info;
        const outages = (heartbeatDetails as Partial<Beat> | undefined)?.outages ?? 0;
        if (attempt - outages > ATTEMPTS) {
          const message = `each of ${ATTEMPTS} attempts ended with its worker, which died, hung or was cut off`;
          throw ApplicationFailure.nonRetryable(message, "worker_lost");
        }
        const beat = setInterval(() => context.heartbeat({ outages } satisfies Beat), HEARTBEAT_MS);
        try {
          return await next(input);
        } catch (error) {
          if (!(error instanceof ApplicationFailure) || error.nonRetryable) throw error;
          if (error.type === "warehouse_unavailable" && outages < OUTAGES) {
            context.heartbeat({ outages: outages + 1 } satisfies Beat);
            if (outages + 1 === TOLD_AT) await tellWaiting(context, error.message);
            throw error;
          }
          if (attempt - outages < ATTEMPTS) throw error;
          throw ApplicationFailure.nonRetryable(error.message, error.type);
        } finally {
          clearInterval(beat);
        }
      },
    },
  };
}

/** Shown as the workflow's state until it has something newer to show. */
async function tellWaiting({ client, info }: Context, reason: string): Promise<void> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  if (workflowId === undefined) return;
  await client.workflow
    .getHandle(workflowId, runId)
    .signal(WAITING_SIGNAL, reason)
    .catch(() => undefined);
}
