import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { Bench } from "../bench.ts";
import { scorePairs, withoutTruth } from "./score.ts";

interface Options {
  records: string;
  id: string;
  truth?: string;
  entity: string;
  table: string;
}

await new Command("bench/identity")
  .description("resolve records whose people are known, sealed, and score the pairs; the truth is read after the run")
  .argument("<project>", "the folder of a project that reads ${MATCH_RECORDS}, as bench/identity/febrl")
  .requiredOption("--records <file>", "CSV of the records")
  .requiredOption("--id <column>", "the column that names a record")
  .requiredOption("--entity <column>", "the column that names the person")
  .option("--truth <file>", "CSV with both columns (default: the records themselves)")
  .option("--table <name>", "the raw table of the records", "raw.registry__people")
  .action(prove)
  .parseAsync();

async function prove(project: string, { table, ...options }: Options): Promise<void> {
  const data = { ...options, truth: options.truth ?? options.records };
  const folder = await mkdtemp(join(tmpdir(), "miette-bench-"));
  // As root, Postgres runs as another account, which has to enter it.
  await chmod(folder, 0o755);
  const say = (line: string): void => console.error(line);
  const bench = await Bench.open({ rows: 0, largest: 0, runs: 1, profiles: null, folder, say });
  try {
    const records = join(folder, "records.csv");
    await withoutTruth(data, records);
    bench.servers.environment["MATCH_RECORDS"] = records;
    const warehouse = await bench.openWarehouse(resolve(project));
    await warehouse.run("identity");
    console.log(JSON.stringify(await scorePairs(warehouse.pool, table, data)));
    await warehouse.close();
  } finally {
    await bench.close();
  }
}
