import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scorePairs, withoutTruth, type LabelledData, type PairScore } from "../bench/identity/score.ts";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { HAS_SHARED_DATA, openPipeline, SHARED_DATA } from "./pipeline.ts";

const FEBRL: LabelledData = {
  records: join(SHARED_DATA, "febrl/dataset1.csv"),
  id: "rec_id",
  truth: join(SHARED_DATA, "febrl/dataset1_truth.csv"),
  entity: "entity",
};
const SPLINK: LabelledData = {
  records: join(SHARED_DATA, "splink/fake_1000.csv"),
  id: "unique_id",
  truth: join(SHARED_DATA, "splink/fake_1000.csv"),
  entity: "cluster",
};

test.skipIf(!HAS_SHARED_DATA)(
  "people with typing errors in all their fields are found by sealed match keys (febrl)",
  async () => {
    const { precision, f1 } = await resolve("febrl", FEBRL);
    expect(precision).toBeGreaterThanOrEqual(0.999);
    expect(f1).toBeGreaterThanOrEqual(0.985);
  },
  120_000,
);

test.skipIf(!HAS_SHARED_DATA)(
  "people whose fields are missing by half are found by sealed match keys (splink)",
  async () => {
    const { precision, f1 } = await resolve("splink", SPLINK);
    expect(precision).toBeGreaterThanOrEqual(0.98);
    expect(f1).toBeGreaterThanOrEqual(0.87);
  },
  120_000,
);

async function resolve(project: string, data: LabelledData): Promise<PairScore> {
  const folder = await mkdtemp(join(tmpdir(), "miette-match-"));
  const records = join(folder, "records.csv");
  await withoutTruth(data, records);
  const pipeline = await openPipeline(join(PACKAGE_DIRECTORY, "bench/identity", project), { MATCH_RECORDS: records });
  try {
    await pipeline.run();
    return await scorePairs(pipeline.pool, "raw.registry__people", data);
  } finally {
    await pipeline.close();
    await rm(folder, { recursive: true, force: true });
  }
}
