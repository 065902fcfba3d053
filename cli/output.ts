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

/** Control characters but line breaks and tabs, and those that turn the order of letters round. */
// oxlint-disable-next-line no-control-regex
const OTHER_CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(Math.round(value * 1e6) / 1e6);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // A value may come from anybody's link: none of it may move the cursor, set a title or write to the clipboard.
  return text.replace(OTHER_CONTROL, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
