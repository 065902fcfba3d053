import type { ActivityInboundCallsInterceptor } from "@temporalio/worker";
import type { Logger } from "pino";
import { toFailure } from "./failures.ts";

/** An interceptor by which whatever an activity throws leaves as a code: no activity can forget it. */
export function errorsAsCodes(log: Logger): () => { inbound: ActivityInboundCallsInterceptor } {
  return () => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          throw toFailure(error, log);
        }
      },
    },
  });
}
