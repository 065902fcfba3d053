import Table from "cli-table3";

/** Prints rows as a table, or as JSON for machines. */
export function printRows(rows: Record<string, unknown>[], options: { json: boolean; empty: string }): void {
  if (options.json) {
    console.log(JSON.stringify(rows));
    return;
  }
  const first = rows[0];
  if (!first) {
    console.log(options.empty);
    return;
  }
  printTable(
    Object.keys(first),
    rows.map((row) => Object.values(row)),
  );
}

/** A table without lines between rows, so that it can be copied and cut by columns. */
export function printTable(head: string[], rows: unknown[][]): void {
  const table = new Table({
    head,
    chars: {
      top: "",
      "top-mid": "",
      "top-left": "",
      "top-right": "",
      bottom: "",
      "bottom-mid": "",
      "bottom-left": "",
      "bottom-right": "",
      left: "",
      "left-mid": "",
      mid: "",
      "mid-mid": "",
      right: "",
      "right-mid": "",
      middle: "  ",
    },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    colAligns: head.map((_, index) => (rows.every((row) => typeof row[index] === "number") ? "right" : "left")),
  });
  table.push(...rows.map((row) => row.map((value) => cell(value))));
  console.log(table.toString());
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return value.toLocaleString("en-US", { maximumFractionDigits: 6 });
  return typeof value === "string" ? value : JSON.stringify(value);
}
