import type { Html } from "./html.ts";
import type { Text, Wording } from "./language.ts";

/** How a column's values are written. */
export type ColumnFormat =
  | "text"
  | "name"
  | "count"
  | "decimal"
  | "figure"
  | "share"
  | "signed"
  | "money"
  | "date"
  | "month"
  | "instant"
  | "yes_no";

export interface Column {
  label: Text;
  as: ColumnFormat;
}

/** A value as the pool gives it, where the select casts what JavaScript can't hold: counts and sums to float8. */
export type Value = string | number | boolean | null;
export type Row = Record<string, Value>;

/** What a figure is drawn for. */
export interface View {
  wording: Wording;
  /** Two drawings of each chart are made, and the page shows the one that fits: 760 or 360 units across. */
  width: "wide" | "narrow";
  /** IANA time zone in which a day begins. */
  timeZone: string;
}

/** One chart of the report: the select it shows, and how. */
export interface Figure<R extends Row = Row> {
  /** Part of element ids: lower-case letters and hyphens. */
  id: string;
  title: Text;
  /** One select. Its rows are the numbers beneath the chart, in the order of `columns`. */
  sql: string;
  /** The owner reads counts of ops; all else is read by the analyst, who sees the mart alone. */
  reader?: "owner";
  columns: { [K in keyof R]: Column };
  /** What to do first, where there is nothing to show. */
  empty: Text;
  /** The main finding, as a sentence. */
  finding?(rows: R[], view: View): string | null;
  /** A choice above the chart: each value of the column has a drawing of its own. */
  choice?: { column: keyof R; label: Text; options: { value: string; label: Text }[] };
  /** Without it the table itself is the figure. Draws `rows`, those of one choice where there is a choice; `all` are those of the select. */
  draw?(rows: R[], view: View, all: R[]): Html;
}

export interface Section {
  id: string;
  title: Text;
  /** How to read it, in a sentence or two. */
  lead: Text;
  figures: Figure<never>[];
}

/** A figure whose rows have the type that its select returns. */
export function figure<R extends Row>(definition: Figure<R>): Figure<never> {
  return definition as unknown as Figure<never>;
}

/** `rows` by the value of one column, in the order of their first appearance. */
export function groupRows<R extends Row>(rows: R[], column: keyof R): Map<string, R[]> {
  const groups = new Map<string, R[]>();
  for (const row of rows) {
    const key = String(row[column]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}
