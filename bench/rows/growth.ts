import type { Figure, Row } from "../row.ts";
import { syncAll } from "../warehouse.ts";

export const row: Row = {
  title: "growth",
  goals: { first: "time per row at ten times the size within 1.3 times", summit: "" },
  async measure(bench): Promise<Figure[]> {
    const { rows, largest } = bench.options;
    const figures: Figure[] = [];
    for (let size = Math.ceil(rows / 10); size <= largest; size *= 10) {
      const warehouse = await bench.openWarehouse(await bench.dataset("csv", size));
      const what = `${size.toLocaleString("en-US")} events`;
      const load = await syncAll(warehouse, `growth-load-${size}`);
      const build = await warehouse.build({}, `growth-build-${size}`);
      const { rows: sizes } = await warehouse.pool.query<{ bytes: string }>(
        "select pg_database_size(current_database()) as bytes",
      );
      const disk = `${Math.round(Number(sizes[0]!.bytes) / size)} bytes of database for each event after the build`;
      figures.push(
        figureOf(`${what} and the shop, load`, size, load.seconds, load.peakMemory),
        figureOf(`${what} and the shop, full build`, size, build.seconds, build.peakMemory, disk),
      );
      await warehouse.close();
    }
    return figures;
  },
};

function figureOf(what: string, records: number, seconds: number, peakMemory: number | null, also?: string): Figure {
  const note = [`${((1e6 * seconds) / records).toFixed(1)} µs for each event`, also].filter(Boolean).join("; ");
  return { what, seconds: [seconds], records, reference: null, peakMemory, note };
}
