import { measureLoad } from "../load.ts";
import type { Row } from "../row.ts";

export const row: Row = {
  title: "load JSONL",
  goals: { first: "0.35 of R", summit: "0.70 of R" },
  measure: async (bench) => [await measureLoad(bench, "jsonl", bench.options.rows)],
};
