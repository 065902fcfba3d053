import type { BuildReport } from "../../domain/runs.ts";
import { addNewLinks, fillLinks, linkCounts, writeLinksProject } from "../links.ts";
import { emptyFigure, type Figure, requireEqual, type Row, timed } from "../row.ts";
import { bareUnionFind } from "../union-find.ts";
import type { Measured, Warehouse } from "../warehouse.ts";

const KEPT = "bench_links";
const SELECT = ["+identity"];

export const row: Row = {
  title: "identity",
  goals: { first: "6 s with keys and links; 0.5 s for 10,000 new links", summit: "4 s and 0.1 s" },
  async measure(bench): Promise<Figure[]> {
    const { rows, runs } = bench.options;
    const counts = linkCounts(rows);
    const added = Math.ceil(rows / 100);
    const project = await bench.emptyFolder("links");
    await writeLinksProject(project);
    const empty = await bench.openWarehouse(project);
    await empty.sync("links", "identity-first");
    await fillLinks(empty.pool, counts);
    await empty.settle();
    await empty.keepAs(KEPT);

    const size = `${rows.toLocaleString("en-US")} links, ${(counts.people + counts.addresses + counts.devices).toLocaleString("en-US")} identifiers, ${counts.people.toLocaleString("en-US")} people`;
    const news = `${added.toLocaleString("en-US")} new links`;
    const full = emptyFigure(`${size}: contracts to identity tables with keys and links`, rows);
    const published = emptyFigure(`${size}: the whole build, contracts and publishing included`, rows);
    const increment = emptyFigure(`${news}: identity alone`, added);
    const incrementPublished = emptyFigure(`${news}: the whole build`, added);
    full.reference = { what: "bare union-find in Node, from and to Postgres", seconds: [] };
    for (let run = 1; run <= runs; run += 1) {
      const warehouse = await bench.openWarehouse(project, { from: KEPT });
      full.reference.seconds.push(await unionFind(warehouse, counts.people));
      addRun(full, published, await warehouse.build({ select: SELECT }, `identity-full-${run}`));
      // Beside the people there is the one who stands for everybody unknown.
      requireEqual("people", await countPeople(warehouse), counts.people + 1);
      if (run === runs) {
        await warehouse.settle();
        for (let next = 0; next < runs; next += 1) {
          await addNewLinks(warehouse.pool, counts, next * added, added);
          const measured = await warehouse.build({ select: SELECT }, `identity-new-${next + 1}`);
          addRun(increment, incrementPublished, measured);
        }
        requireEqual("people", await countPeople(warehouse), counts.people + 1);
      }
      await warehouse.close();
    }
    return [full, published, increment, incrementPublished];
  },
};

function addRun(step: Figure, whole: Figure, { seconds, peakMemory, report }: Measured<BuildReport>): void {
  const people = report.models.find(({ relation }) => relation === "core.people");
  if (!people) throw new Error("the build did not compute core.people");
  step.seconds.push(people.milliseconds / 1000);
  whole.seconds.push(seconds);
  step.peakMemory = peakMemory;
  whole.peakMemory = peakMemory;
}

async function unionFind({ pool }: Warehouse, people: number): Promise<number> {
  const client = await pool.connect();
  try {
    const { seconds, result } = await timed(() =>
      bareUnionFind(client, "select email, device_id from raw.links__links"),
    );
    requireEqual("components", result, people);
    return seconds;
  } finally {
    client.release();
  }
}

async function countPeople({ pool }: Warehouse): Promise<number> {
  const { rows } = await pool.query<{ count: number }>("select count(*)::integer as count from core.people");
  return rows[0]!.count;
}
