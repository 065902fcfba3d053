import { readFileSync } from "node:fs";
import { parseDay } from "./calendar.ts";

/** A purchase of the CDNOW sample, with its line's facts as they are. */
export interface Purchase {
  /** 1 to 2,357: the second column. */
  customer: number;
  day: number;
  /** How many CDs were bought. */
  units: number;
  /** What was paid, in cents of a dollar. */
  cents: number;
}

/** The 6,919 purchases of `cdnow/CDNOW_sample.txt`: master id, sample id, yyyymmdd, CDs, dollars. */
export function readPurchases(): Purchase[] {
  const text = readFileSync(new URL("./cdnow/CDNOW_sample.txt", import.meta.url), "utf8");
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, customer = "", date = "", units = "", dollars = ""] = line.trim().split(/\s+/);
      return {
        customer: Number(customer),
        day: parseDay(date),
        units: Number(units),
        cents: Math.round(Number(dollars) * 100),
      };
    });
}
