import { generateIncrement } from "../../cli/generate/generation.ts";
import { copyEvents, filesOf, keyEvents, upsertEvents, withReference } from "../reference.ts";
import { type Figure, requireEqual, type Row } from "../row.ts";

/** The warm-up is a round that is not counted. */
const WARM_UP = 1;

export const row: Row = {
  title: "incremental",
  goals: { first: "0.8 s", summit: "0.3 s" },
  async measure(bench): Promise<Figure[]> {
    const { servers, options } = bench;
    const changed = Math.min(10_000, options.rows);
    const project = await bench.copyOfDataset("csv", options.rows, "incremental");
    const figure: Figure = {
      what: `a file of ${changed.toLocaleString("en-US")} changed rows into ${options.rows.toLocaleString("en-US")}`,
      seconds: [],
      records: changed,
      reference: { what: "COPY and INSERT … ON CONFLICT with a key", seconds: [] },
      peakMemory: null,
      note: null,
    };
    await withReference(servers, async (client) => {
      await copyEvents(servers, client, project);
      await keyEvents(client);
      const warehouse = await bench.openWarehouse(project);
      await warehouse.sync("web", "incremental-first");
      for (let run = 1 - WARM_UP; run <= options.runs; run += 1) {
        await generateIncrement(project, { changed: changed / options.rows, added: 0 });
        const upsert = await upsertEvents(servers, client, (await filesOf(project, "events")).at(-1)!);
        const measured = await warehouse.sync("web", `incremental-${run}`);
        requireEqual("events updated", measured.report.streams[0]?.updated, changed);
        if (run < 1) continue;
        figure.seconds.push(measured.seconds);
        figure.reference!.seconds.push(upsert);
        figure.peakMemory = measured.peakMemory;
      }
      await warehouse.close();
    });
    return [figure];
  },
};
