import type { Client } from "@temporalio/client";
import type { MetricMeter, MetricTags } from "@temporalio/common";
import type { RuntimeOptions } from "@temporalio/worker";
import type { Pool } from "pg";
import type { Logger } from "pino";
import { TASK_QUEUE } from "../domain/ids.ts";
import type { Project } from "../domain/project.ts";
import { readMeasures } from "../warehouse/measures.ts";

/** Scrapes read what was measured last, so that they cost the warehouse nothing, however many there are. */
const EVERY_MS = 30_000;
/** Temporal's names of the kinds of task in a queue. */
const QUEUE_KINDS = { workflow: 1, activity: 2 } as const;

/**
 * The SDK's own exporter serves its metrics and ours at `http://ADDRESS/metrics`.
 * @param address `host:port`
 */
export function prometheus(address: string): RuntimeOptions["telemetryOptions"] {
  return {
    metrics: { prometheus: { bindAddress: address, countersTotalSuffix: true, useSecondsForDurations: true } },
  };
}

export interface Measured {
  pool: Pool;
  client: Client;
  namespace: string;
  loadProject(): Promise<Project>;
  log: Logger;
}

/** Measures now and every 30 seconds. @returns how to stop */
export function keepMeasuring(meter: MetricMeter, measured: Measured): { stop(): void } {
  const gauges = new Gauges(meter);
  const look = async (): Promise<void> => {
    await measure(gauges, measured).then(
      () => gauges.set("miette_warehouse_up", 1),
      (error: unknown) => {
        gauges.set("miette_warehouse_up", 0);
        measured.log.warn(
          { kind: error instanceof Error ? error.name : typeof error },
          "the metrics can't be measured",
        );
      },
    );
  };
  let running = look();
  const timer = setInterval(() => {
    running = running.then(look);
  }, EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

async function measure(gauges: Gauges, { pool, client, namespace, loadProject }: Measured): Promise<void> {
  for (const [kind, taskQueueType] of Object.entries(QUEUE_KINDS)) {
    const { stats } = await client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: TASK_QUEUE },
      taskQueueType,
      reportStats: true,
    });
    gauges.set("miette_task_queue_backlog", Number(stats?.approximateBacklogCount ?? 0), { kind });
  }
  const project = await loadProject();
  const { streams, quarantine, build, alerts } = await readMeasures(pool, project);
  const newest = new Map<string, number>();
  for (const { source, stream, doneAt, newAt } of streams) {
    if (doneAt !== null) {
      gauges.set("miette_stream_last_success_timestamp_seconds", doneAt, { source, stream });
      newest.set(source, Math.max(newest.get(source) ?? 0, doneAt));
    }
    if (newAt !== null) gauges.set("miette_stream_last_new_record_timestamp_seconds", newAt, { source, stream });
  }
  for (const [source, at] of newest) gauges.set("miette_source_last_success_timestamp_seconds", at, { source });
  gauges.setAll(
    "miette_quarantined_records",
    quarantine.map(({ source, stream, records }) => [{ source, stream }, records]),
  );
  gauges.setAll(
    "miette_alerts",
    alerts.map(({ state, count }) => [{ state }, count]),
  );
  if (build) {
    gauges.set("miette_build_duration_seconds", build.seconds);
    gauges.set("miette_build_last_success_timestamp_seconds", build.publishedAt);
  }
}

class Gauges {
  readonly #meter: MetricMeter;
  readonly #gauges = new Map<string, ReturnType<MetricMeter["createGauge"]>>();
  readonly #known = new Map<string, Map<string, MetricTags>>();

  constructor(meter: MetricMeter) {
    this.#meter = meter;
  }

  set(name: string, value: number, tags: MetricTags = {}): void {
    const gauge = this.#gauges.get(name) ?? this.#meter.createGauge(name, "float");
    this.#gauges.set(name, gauge);
    gauge.set(value, tags);
  }

  /** Sets a gauge for all its tags: those that were set before and are gone come to 0, since a gauge can't be taken back. */
  setAll(name: string, values: [MetricTags, number][]): void {
    const known = this.#known.get(name) ?? new Map<string, MetricTags>();
    this.#known.set(name, known);
    const now = new Set(values.map(([tags]) => JSON.stringify(tags)));
    for (const [key, tags] of known) if (!now.has(key)) this.set(name, 0, tags);
    for (const [tags, value] of values) {
      known.set(JSON.stringify(tags), tags);
      this.set(name, value, tags);
    }
  }
}
