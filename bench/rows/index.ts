import type { Row } from "../row.ts";
import { row as build } from "./build.ts";
import { row as erasure } from "./erasure.ts";
import { row as growth } from "./growth.ts";
import { row as identity } from "./identity.ts";
import { row as incremental } from "./incremental.ts";
import { row as loadCsv } from "./load-csv.ts";
import { row as loadJsonl } from "./load-jsonl.ts";
import { row as repair } from "./repair.ts";
import { row as rotation } from "./rotation.ts";
import { row as sealing } from "./sealing.ts";
import { row as sourceToMart } from "./source-to-mart.ts";

/** The rows of the table by name, in their order; a sentence where the part of the product that is measured is not there. */
export const rows: Readonly<Record<string, Row | string>> = {
  "load-csv": loadCsv,
  "load-jsonl": loadJsonl,
  incremental,
  identity,
  build,
  repair,
  "source-to-mart": sourceToMart,
  sealing,
  rotation,
  erasure,
  growth,
  collector: "there is no collector yet",
  freshness: "there is no collector yet",
};
