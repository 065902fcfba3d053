import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeRecords } from "../../cli/generate/files.ts";
import { readGeneration } from "../../cli/generate/generation.ts";
import { shopStreams, type ShopRecord } from "../../cli/generate/shop.ts";
import { emptyFigure, type Figure, requireEqual, type Row } from "../row.ts";
import { syncAll, type Warehouse } from "../warehouse.ts";

export const row: Row = {
  title: "repair",
  goals: { first: "5 s for 1,000 merged people", summit: "" },
  async measure(bench): Promise<Figure[]> {
    const { rows, runs } = bench.options;
    const project = await bench.copyOfDataset("csv", rows, "repair");
    await allowSeveralAccounts(project);
    const { seed, sizes } = (await readGeneration(project))!;
    const pairs = Math.min(1_000, Math.floor(sizes.customers / 2 / runs));
    const figure = emptyFigure(
      `${pairs.toLocaleString("en-US")} people merged in a mart of ${rows.toLocaleString("en-US")} events: identity, facts, history, metrics`,
      pairs,
    );
    const people = shopStreams(seed, sizes).find(({ name }) => name === "customers")!;
    const personOf = (customer: number): ShopRecord => people.records(customer, 0)[0]!;
    /** An account with one person's e-mail and another's telephone. */
    const account = (number: number): ShopRecord => ({
      ...personOf(number),
      id: sizes.customers + 1 + number,
      phone: personOf(number + Math.floor(sizes.customers / 2))["phone"],
    });

    const warehouse = await bench.openWarehouse(project);
    await syncAll(warehouse, "repair-load");
    await warehouse.build({}, "repair-first");
    await warehouse.settle();
    for (let run = 0; run < runs; run += 1) {
      const file = join(project, "data/customers", `merging-${run}.csv`);
      const numbers = Array.from({ length: pairs }, (_, index) => run * pairs + index);
      await writeRecords(file, "csv", numbers.map(account));
      await warehouse.sync("shop", `repair-sync-${run + 1}`);
      const before = await countPeople(warehouse);
      const { seconds, peakMemory, report } = await warehouse.build({}, `repair-${run + 1}`);
      requireEqual("people", await countPeople(warehouse), before - pairs);
      figure.seconds.push(seconds);
      figure.peakMemory = peakMemory;
      // All tables of a node have its time.
      const steps = new Map(report.models.map((each) => [each.milliseconds, each.relation]));
      const slowest = [...steps].toSorted(([a], [b]) => b - a).slice(0, 4);
      figure.note = `${report.inserted + report.updated + report.deleted} rows written; slowest: ${slowest.map(([milliseconds, relation]) => `${relation} ${(milliseconds / 1000).toFixed(2)} s`).join(", ")}`;
    }
    const { report } = await warehouse.build({ full: true }, "repair-proof");
    requireEqual("rows that a full build writes", report.inserted + report.updated + report.deleted, 0);
    await warehouse.close();
    return [figure];
  },
};

/** In the generated project two accounts are two people, whatever else they share. */
async function allowSeveralAccounts(project: string): Promise<void> {
  const file = join(project, "miette.yaml");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("kind: customer_id, limit: 1", "kind: customer_id, limit: 3"));
}

async function countPeople({ pool }: Warehouse): Promise<number> {
  const { rows } = await pool.query<{ count: number }>("select count(*)::integer as count from core.people");
  return rows[0]!.count;
}
