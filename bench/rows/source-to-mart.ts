import { buildPlainly } from "../plain-sql.ts";
import { copyEvents, withReference } from "../reference.ts";
import { type Figure, requireEqual, type Row } from "../row.ts";

export const row: Row = {
  title: "source to mart",
  goals: { first: "30 s", summit: "15 s, sealed" },
  async measure(bench): Promise<Figure[]> {
    const { servers, options } = bench;
    const project = await bench.dataset("csv", options.rows);
    const reference = { what: "R and the same selects as CREATE TABLE AS with the same keys", seconds: [] as number[] };
    const figure: Figure = {
      what: `${options.rows.toLocaleString("en-US")} events and the shop: files to a checked mart`,
      seconds: [],
      records: options.rows,
      reference,
      peakMemory: null,
      note: null,
    };
    for (let run = 1; run <= options.runs; run += 1) {
      const warehouse = await bench.openWarehouse(project);
      const { seconds, peakMemory, report } = await warehouse.run(`source-to-mart-${run}`);
      requireEqual("sources that failed", report.failed.length, 0);
      const { rows } = await warehouse.pool.query<{ count: number }>(
        "select count(*)::integer as count from mart.fct_events",
      );
      requireEqual("events in the mart", rows[0]!.count, options.rows);
      figure.seconds.push(seconds);
      figure.peakMemory = peakMemory;
      const models = await buildPlainly(warehouse.pool, await warehouse.graph());
      const copy = await withReference(servers, (client) => copyEvents(servers, client, project));
      reference.seconds.push(copy + models);
      await warehouse.close();
    }
    return [figure];
  },
};
