import { createRequire } from "node:module";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { Resource } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import {
  makeWorkflowExporter,
  OpenTelemetryActivityInboundInterceptor,
} from "@temporalio/interceptors-opentelemetry/lib/worker/index.js";
import type { OpenTelemetryWorkflowExporter } from "@temporalio/interceptors-opentelemetry/lib/workflow/index.js";
import type { ActivityInterceptorsFactory, InjectedSinks } from "@temporalio/worker";

/** What the bundle of workflows has to contain so that they are traced. */
export const TRACING_MODULES = [
  createRequire(import.meta.url).resolve("@temporalio/interceptors-opentelemetry/lib/workflow-interceptors"),
];

/**
 * The bundle of a worker that traces, beside that of those that do not: its workflows hand their spans on in headers,
 * which the SDK leaves out when it seals payloads, so histories hold random trace ids in the clear only where traces
 * were asked for.
 * @param file the bundle without tracing
 */
export function tracedBundle(file: string): string {
  return `${file.replace(/\.js$/, "")}.traced.js`;
}

/** What of a workflow's own description goes out; the SDK would add its memo, its last result and its last failure. */
const ATTRIBUTES = new Set([
  "workflowId",
  "runId",
  "workflowType",
  "namespace",
  "taskQueue",
  "attempt",
  "temporalWorkflowId",
  "temporalActivityId",
  "run_id",
]);

class NamedSpans extends BatchSpanProcessor {
  override onEnd(span: ReadableSpan): void {
    for (const name of Object.keys(span.attributes)) if (!ATTRIBUTES.has(name)) delete span.attributes[name];
    super.onEnd(span);
  }
}

type Sinks = InjectedSinks<{ exporter: OpenTelemetryWorkflowExporter }>;

export interface Tracing {
  /** Comes first, so that it sees errors as the codes that the others make of them. */
  activity: ActivityInterceptorsFactory;
  sinks: Sinks;
  /** Sends what is left. */
  stop(): Promise<void>;
}

/**
 * Sends a span of each workflow and activity to a collector, by OTLP over HTTP. Spans hold names and ids.
 * @param endpoint the collector's base URL; spans go to its `/v1/traces`
 */
export function startTracing(endpoint: string): Tracing {
  const resource = new Resource({ "service.name": "miette" });
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/traces` });
  const processor = new NamedSpans(exporter);
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
  // Headers by which a workflow hands its span on are read by the global propagator, into the global context.
  provider.register({ contextManager: new AsyncLocalStorageContextManager() });
  const tracer = provider.getTracer("miette");
  return {
    activity: (context) => ({ inbound: new OpenTelemetryActivityInboundInterceptor(context, { tracer }) }),
    sinks: { exporter: makeWorkflowExporter(processor, resource) },
    stop: () => provider.shutdown(),
  };
}
