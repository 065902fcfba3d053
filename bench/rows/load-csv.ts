import { measureLoad } from "../load.ts";
import type { Row } from "../row.ts";

export const row: Row = {
  title: "load CSV",
  goals: { first: "0.30 of R in 300 MB", summit: "0.70 of R" },
  measure: async (bench) => [await measureLoad(bench, "csv", bench.options.rows)],
};
