import type { MetricCounter, MetricMeter } from "@temporalio/common";
import type { StreamCounts } from "../domain/runs.ts";

const OUTCOMES = ["inserted", "updated", "unchanged", "deleted", "rejected"] as const;

/** Counts what a sync does with records, by source, stream and outcome: `miette_records_total`. */
export class RowCounter {
  readonly #counter: MetricCounter;
  readonly #source: string;
  #last: Map<string, StreamCounts>;

  /** @param counts what earlier attempts have done, which they have counted */
  constructor(meter: MetricMeter, source: string, counts: Map<string, StreamCounts>) {
    this.#counter = meter.createCounter("miette_records", undefined, "Records by what landing did with them");
    this.#source = source;
    this.#last = new Map(counts);
  }

  advance(counts: Map<string, StreamCounts>): void {
    for (const [stream, now] of counts) {
      for (const outcome of OUTCOMES) {
        const more = now[outcome] - (this.#last.get(stream)?.[outcome] ?? 0);
        if (more > 0) this.#counter.add(more, { source: this.#source, stream, outcome });
      }
    }
    this.#last = new Map(counts);
  }
}
