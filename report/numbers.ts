import type { Column, ColumnFormat, Figure, Row, Value, View } from "./figure.ts";
import { html, type Html } from "./html.ts";
import { nameOf } from "./names.ts";

/** Rows beyond these would make the page heavy; the select beside gives them all. */
const MOST_ROWS = 200;

/** The numbers of a figure as a table. */
export function numbersTable(figure: Figure, rows: Row[], view: View): Html {
  const { wording } = view;
  const columns = Object.entries<Column>(figure.columns);
  const isText = (as: ColumnFormat) => as === "text" || as === "name";
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="${wording.say(figure.title)}">
    <table>
      <thead>
        <tr>
          ${columns.map(([, { label, as }]) => html`<th scope="col" ${isText(as) ? null : html` class="number"`}>${wording.say(label)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.slice(0, MOST_ROWS).map(
          (row) =>
            html`<tr>
              ${columns.map(([name, { as }]) => html`<td${isText(as) ? null : html` class="number"`}>${cell(row[name] ?? null, as, view)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
  if (rows.length <= MOST_ROWS) return table;
  const note = wording.say({
    en: `The first ${MOST_ROWS} of ${rows.length} rows; the SQL gives them all.`,
    fr: `Les ${MOST_ROWS} premières lignes sur ${rows.length} ; le SQL les donne toutes.`,
  });
  return html`${table}
    <p class="note">${note}</p>`;
}

function cell(value: Value, as: ColumnFormat, { wording, timeZone }: View): string {
  if (value === null) return "–";
  switch (as) {
    case "text":
      return String(value);
    case "name":
      return nameOf(String(value), wording);
    case "count":
      return wording.count(Number(value));
    case "decimal":
      return wording.decimal(Number(value));
    case "figure":
      return wording.figure(Number(value));
    case "share":
      return wording.share(Number(value));
    case "signed":
      return wording.signed(Number(value));
    case "money":
      return wording.money(Number(value));
    case "date":
      return wording.date(String(value));
    case "month":
      return wording.month(String(value));
    case "instant":
      return wording.instant(String(value), timeZone);
    case "yes_no":
      return wording.say(value ? { en: "yes", fr: "oui" } : { en: "no", fr: "non" });
  }
}
