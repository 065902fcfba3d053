import type { Format } from "../cli/generate/files.ts";
import type { Bench } from "./bench.ts";
import { copyEvents, withReference } from "./reference.ts";
import { type Figure, requireEqual } from "./row.ts";

/** Loads the events into an empty warehouse, in turn with R, COPY of the same events. */
export async function measureLoad(bench: Bench, format: Format, events: number): Promise<Figure> {
  const { servers, options } = bench;
  const csv = await bench.dataset("csv", events);
  const project = await bench.dataset(format, events);
  const [seconds, copies, peaks]: [number[], number[], (number | null)[]] = [[], [], []];
  // The first copy reads the file from the disk, and is not counted.
  await withReference(servers, (client) => copyEvents(servers, client, csv));
  for (let run = 1; run <= options.runs; run += 1) {
    copies.push(await withReference(servers, (client) => copyEvents(servers, client, csv)));
    const warehouse = await bench.openWarehouse(project);
    const measured = await warehouse.sync("web", `load-${format}-${events}-${run}`);
    requireEqual("events landed", measured.report.streams[0]?.inserted, events);
    seconds.push(measured.seconds);
    peaks.push(measured.peakMemory);
    await warehouse.close();
  }
  return {
    what: `${events.toLocaleString("en-US")} events, ${format.toUpperCase()}, validated, sealed, keyed`,
    seconds,
    records: events,
    reference: { what: "R: COPY into typed columns, no key", seconds: copies },
    peakMemory: peaks.reduce((most, peak) => (peak === null || most === null ? null : Math.max(most, peak)), 0),
    note: null,
  };
}
