import type { BuildReport } from "../../domain/runs.ts";
import { generateIncrement } from "../../cli/generate/generation.ts";
import type { Graph } from "../../warehouse/models/graph.ts";
import { buildPlainly } from "../plain-sql.ts";
import { emptyFigure, type Figure, requireEqual, type Row } from "../row.ts";
import { syncAll } from "../warehouse.ts";

const KEPT = "bench_landed";

export const row: Row = {
  title: "build",
  goals: {
    first: "full 1.5 times psql; nothing new 1 s; 1% new in a tenth of full",
    summit: "grows only with what changed",
  },
  async measure(bench): Promise<Figure[]> {
    const { rows, runs } = bench.options;
    const project = await bench.copyOfDataset("csv", rows, "build");
    const landed = await bench.openWarehouse(project);
    await syncAll(landed, "build-first");
    await landed.settle();
    await landed.keepAs(KEPT);

    const size = `${rows.toLocaleString("en-US")} events`;
    const full = emptyFigure(`${size}, full, from raw to a checked mart`, rows);
    full.reference = { what: "the same selects as CREATE TABLE AS with the same keys", seconds: [] };
    const nothing = emptyFigure(`${size}, nothing new`, null);
    const added = emptyFigure(`${size}, 1% new`, Math.ceil(rows / 100));
    const changed = emptyFigure(`${size}, 1% changed`, Math.ceil(rows / 100));
    for (let run = 1; run <= runs; run += 1) {
      const warehouse = await bench.openWarehouse(project, { from: KEPT });
      const { seconds, peakMemory, report } = await warehouse.build({}, `build-full-${run}`);
      full.seconds.push(seconds);
      full.peakMemory = peakMemory;
      const graph = await warehouse.graph();
      full.note = describeNodes(graph, report);
      full.reference.seconds.push(await buildPlainly(warehouse.pool, graph));
      if (run === runs) {
        await warehouse.settle();
        for (let round = 1; round <= runs; round += 1) {
          const idle = await warehouse.build({}, `build-nothing-${round}`);
          requireEqual("models computed with nothing new", idle.report.models.length, 0);
          nothing.seconds.push(idle.seconds);
          for (const [figure, shares] of [
            [added, { changed: 0, added: 0.01 }],
            [changed, { changed: 0.01, added: 0 }],
          ] as const) {
            await generateIncrement(project, shares);
            await syncAll(warehouse, "build-sync");
            const name = figure === added ? "added" : "changed";
            figure.seconds.push((await warehouse.build({}, `build-${name}-${round}`)).seconds);
          }
        }
      }
      await warehouse.close();
    }
    return [full, nothing, added, changed];
  },
};

/** What of a build no select does, and how long it took. */
function describeNodes(graph: Graph, { models }: BuildReport): string {
  const nodes = graph.steps.flatMap((step) => {
    const [first] = step.outputs;
    const report = models.find(({ relation }) => relation === first?.name);
    return step.kind === "node" && report ? [`${step.name} ${(report.milliseconds / 1000).toFixed(2)} s`] : [];
  });
  return `holds what the reference does not: ${nodes.join(", ")}, checks, publishing`;
}
