import { shopStreams } from "../../cli/generate/shop.ts";
import type { ErasureReport } from "../../domain/requests.ts";
import type { Bench } from "../bench.ts";
import { emptyFigure, type Figure, requireEqual, type Row } from "../row.ts";
import type { Warehouse } from "../warehouse.ts";

/** Requests at once: of 1,000,000 events, whose shop has 50,000 customers, 1,000. */
const EVENTS_PER_REQUEST = 1_000;

export const row: Row = {
  title: "erasure",
  goals: { first: "one 15 s; 1,000 at once with syncs 10 min", summit: "" },
  async measure(bench): Promise<Figure[]> {
    const { rows, runs } = bench.options;
    const warehouse = await bench.openWarehouse(await bench.dataset("csv", rows));
    await warehouse.run("erasure-first");
    await warehouse.settle();
    const people = customersOf(rows);
    const size = `of ${rows.toLocaleString("en-US")} events, from request to verified receipt`;
    const one = emptyFigure(`one person ${size}`, null);
    for (let run = 1; run <= runs; run += 1) {
      await erase(bench, warehouse, [people.next().value as string], one, `erasure-one-${run}`);
    }
    const count = Math.ceil(rows / EVENTS_PER_REQUEST);
    const many = emptyFigure(`${count.toLocaleString("en-US")} people at once ${size}`, null);
    for (let run = 1; run <= runs; run += 1) {
      const emails = Array.from({ length: count }, () => people.next().value as string);
      const stop = warehouse.keepSyncing("web");
      await erase(bench, warehouse, emails, many, `erasure-many-${run}`);
      many.note = `${await stop()} full syncs of all events ran meanwhile`;
    }
    await warehouse.close();
    return [one, many];
  },
};

/** Addresses of customers, each once, from all over the first year. */
function* customersOf(events: number): Generator<string, never> {
  const customers = Math.ceil(events / 20);
  const sizes = { events, orders: Math.ceil(events / 10), customers };
  const stream = shopStreams(1, sizes).find(({ name }) => name === "customers")!;
  for (let item = 0; item < customers; item += 1) {
    // A prime: no number of customers is a multiple of it.
    const [record] = stream.records((item * 1_000_003) % customers, 0);
    yield record!["email"] as string;
  }
  throw new RangeError("more people to erase than there are");
}

async function erase(
  bench: Bench,
  warehouse: Warehouse,
  emails: readonly string[],
  figure: Figure,
  label: string,
): Promise<void> {
  bench.options.say(`${emails.length} erasures`);
  const { seconds, peakMemory, report } = await warehouse.erase(emails, label);
  for (const each of report) requireEqual("what an erasure has come to", outcomeOf(each), "completed, 1 people");
  figure.seconds.push(seconds);
  figure.peakMemory = peakMemory;
}

function outcomeOf({ state, plan }: ErasureReport): string {
  return `${state}, ${plan.people} people`;
}
