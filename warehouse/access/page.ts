import type { About } from "./about.ts";
import type { SubjectRow } from "./read-rows.ts";
import type { SubjectRows } from "./subject-rows.ts";

/** Rows of one table that the page shows; all of them are in its CSV file. */
const MOST_ROWS = 500;

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #bbb}h3{font-size:1rem;margin-bottom:.2rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{border:1px solid #ccc;padding:.2rem .4rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f2f2f2}th,td:first-child{overflow-wrap:break-word}.note{color:#555;font-size:.85rem}@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}`;

/** The readable page, in pieces: one file without scripts or outside references, to read, to send on, to print. */
export async function* accessPage(
  about: About,
  tables: readonly SubjectRows[],
  read: (table: SubjectRows) => AsyncIterable<SubjectRow[]>,
): AsyncGenerator<string> {
  yield `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Your data</title><style>${STYLE}</style></head><body><h1>Your data</h1>
<p>Everything that is held about you, as of ${escape(about.made_at)}; request ${escape(about.request)}. The same is in data.json, described by schema.json, and in one CSV file per table.
Where another person's data would stand, it says “(another person)”.</p>`;
  yield section(
    "What you are known by",
    ["kind", "value", "known since"],
    about.identifiers.map((each) => [each.kind, each.value, each.known_since]),
  );
  yield section(
    "Where it came from",
    ["source", "streams", "categories"],
    about.sources.map((each) => [each.source, each.streams, each.categories]),
  );
  yield section(
    "What it is used for",
    ["purpose"],
    about.purposes.map((purpose) => [purpose]),
  );
  yield section(
    "Who was told",
    ["recipient", "audience", "purpose", "fields", "state", "when"],
    about.recipients.map((each) => [each.recipient, each.audience, each.purpose, each.fields, each.state, each.at]),
  );
  yield section(
    "How long it is kept",
    ["data", "kept"],
    about.retention.map((each) => [each.data, each.kept]),
  );
  yield section(
    "What you have allowed and forbidden",
    ["purpose", "standing", "use allowed", "law"],
    about.consent.map((each) => [each.purpose, each.standing, each.allowed, each.jurisdiction]),
  );
  yield section(
    "What you have said",
    ["when", "choice", "given", "purpose", "heard by", "notice", "law", "until"],
    about.ledger.map((each) => Object.values(each)),
  );
  yield section(
    "Segments that you are in",
    ["segment", "what it is for", "since"],
    about.segments.map((each) => [each.segment, each.description, each.since]),
  );
  yield section(
    "What is worked out about you",
    ["table", "what it holds", "made of"],
    about.derived.map((each) => [each.relation, each.what, each.made_of]),
  );
  yield section(
    "Every place that holds something of you",
    ["table", "rows", "kind"],
    about.places.map((each) => [each.relation, each.rows, each.kind]),
  );
  yield "<h2>The data</h2>";
  for (const table of tables) yield* dataTable(table, read(table));
  yield "</body></html>\n";
}

async function* dataTable(table: SubjectRows, batches: AsyncIterable<SubjectRow[]>): AsyncGenerator<string> {
  yield `<h3>${escape(table.relation)}</h3><p class="note">${table.rows} ${table.rows === 1 ? "row" : "rows"}${
    table.rows > MOST_ROWS ? `, of which the first ${MOST_ROWS} are here and all in the CSV file` : ""
  }</p>`;
  let shown = 0;
  let head: string[] | null = null;
  for await (const rows of batches) {
    for (const row of rows) {
      if (shown >= MOST_ROWS) continue;
      if (head === null) {
        head = [...(row.landedAt === null ? [] : ["landed"]), ...Object.keys(row.fields)];
        yield `<table><tr>${head.map((name) => `<th>${escape(name)}</th>`).join("")}</tr>`;
      }
      shown += 1;
      const cells = head.map((name) => (name === "landed" ? row.landedAt : row.fields[name]));
      yield `<tr>${cells.map((cell) => `<td>${escape(textOf(cell))}</td>`).join("")}</tr>`;
    }
  }
  yield head === null ? "" : "</table>";
}

function section(title: string, head: string[], rows: unknown[][]): string {
  const lines = rows
    .map((row) => `<tr>${row.map((cell) => `<td>${escape(textOf(cell))}</td>`).join("")}</tr>`)
    .join("");
  const body =
    rows.length === 0
      ? "<p>None.</p>"
      : `<table><tr>${head.map((name) => `<th>${escape(name)}</th>`).join("")}</tr>${lines}</table>`;
  return `<h2>${escape(title)}</h2>${body}`;
}

/** A value as a person reads it. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join(", ");
  return JSON.stringify(value);
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
