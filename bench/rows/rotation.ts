import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { writeRecords } from "../../cli/generate/files.ts";
import type { StreamSchema } from "../../domain/streams.ts";
import type { Bench } from "../bench.ts";
import { type Figure, requireEqual, type Row } from "../row.ts";

/** Everybody has one address, so there are as many identifiers as rows. */
const SUBSCRIBERS: StreamSchema = {
  type: "object",
  required: ["id", "email"],
  properties: {
    id: { type: "integer" },
    email: { type: "string", personal: "email", identifier: "email" },
  },
};

export const row: Row = {
  title: "rotation",
  goals: { first: "100,000 identifiers in 30 s", summit: "" },
  async measure(bench): Promise<Figure[]> {
    const count = Math.ceil(bench.options.rows / 10);
    const warehouse = await bench.openWarehouse(await writeProject(bench, count));
    const { report } = await warehouse.sync("files", "rotation-load");
    requireEqual("records landed", report.streams[0]?.inserted, count);
    const figure: Figure = {
      what: `${count.toLocaleString("en-US")} identifiers wrapped anew, each read back and opened`,
      seconds: [],
      records: count,
      reference: null,
      peakMemory: null,
      note: null,
    };
    for (let run = 1; run <= bench.options.runs; run += 1) {
      const measured = await warehouse.rotate(`rotation-${run}`);
      // Beside identifiers there are the keys of purposes.
      requireEqual("whether all keys were wrapped", measured.report.keys > count, true);
      figure.seconds.push(measured.seconds);
      figure.peakMemory = measured.peakMemory;
    }
    await warehouse.close();
    return [figure];
  },
};

async function writeProject(bench: Bench, count: number): Promise<string> {
  const directory = await bench.emptyFolder("rotation");
  await mkdir(join(directory, "schemas"));
  await writeFile(join(directory, "schemas/subscribers.yaml"), stringify(SUBSCRIBERS));
  const subscribers = { mode: "upsert", key: ["id"], schema: "schemas/subscribers.yaml" };
  await writeFile(
    join(directory, "miette.yaml"),
    stringify({
      name: "rotation",
      currency: "EUR",
      time_zone: "UTC",
      sources: { files: { connector: "csv", config: { path: "data/*.csv" }, streams: { subscribers } } },
    }),
  );
  function* records(): Generator<{ id: number; email: string }> {
    for (let id = 1; id <= count; id += 1) yield { id, email: `reader.${id}@mail.example` };
  }
  await writeRecords(join(directory, "data/0001.csv"), "csv", records());
  return directory;
}
