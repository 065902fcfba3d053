import { groupRows, type Figure, type Row, type View } from "./figure.ts";
import { html, type Html } from "./html.ts";
import type { Text, Wording } from "./language.ts";
import { numbersTable } from "./numbers.ts";
import type { Reading } from "./read.ts";

/**
 * A figure in one language: what it found, the drawing, its numbers and its SQL, or what to do first.
 * @param id of its heading, unlike any other in the page
 */
export function figurePart(
  figure: Figure,
  reading: Reading,
  id: string,
  page: Pick<View, "wording" | "timeZone">,
): Html {
  const { wording } = page;
  const view: View = { ...page, width: "wide" };
  const title = wording.say(figure.title);
  const sql = html`<details>
    <summary>SQL</summary>
    <pre><code>${figure.sql.trim()}</code></pre>
  </details>`;
  if (!("rows" in reading) || reading.rows.length === 0) {
    const problem = "problem" in reading ? unreadable(reading.problem, wording) : wording.say(figure.empty);
    return html`<figure aria-labelledby="${id}">
      <figcaption><h3 id="${id}">${title}</h3></figcaption>
      <p class="empty">${problem}</p>
      <div class="evidence">${sql}</div>
    </figure>`;
  }
  const { rows } = reading;
  const finding = figure.finding?.(rows, view) ?? null;
  const numbers = numbersTable(figure, rows, view);
  return html`<figure aria-labelledby="${id}">
    <figcaption>
      <h3 id="${id}">${title}</h3>
      ${finding === null ? null : html`<p>${finding}</p>`}
    </figcaption>
    ${figure.draw ? drawings(figure, rows, id, view) : numbers}
    <div class="evidence">
      ${
        figure.draw
          ? html`<details>
              <summary>${wording.say({ en: "Numbers", fr: "Chiffres" })}</summary>
              ${numbers}
            </details>`
          : null
      }${sql}
    </div>
  </figure>`;
}

function unreadable(problem: string, wording: Wording): string {
  return wording.say({
    en: `This project's models do not have what the figure asks for: ${problem}.`,
    fr: `Les modèles de ce projet n’ont pas ce que la figure demande : ${problem}.`,
  });
}

/** The figure as drawn, once or once for each choice: radio buttons that need no script. */
function drawings(figure: Figure, rows: Row[], id: string, view: View): Html {
  const { choice } = figure;
  if (!choice) return drawing(figure, rows, rows, view);
  const groups = groupRows(rows, choice.column);
  const known = choice.options.filter(({ value }) => groups.has(value));
  const others = [...groups.keys()].filter((value) => !choice.options.some((option) => option.value === value));
  const options: { value: string; label: Text }[] = [
    ...known,
    ...others.map((value) => ({ value, label: { en: value, fr: value } })),
  ];
  return html`<fieldset class="choice">
    <legend>${view.wording.say(choice.label)}</legend>
    ${options.map(
      ({ value, label }, index) =>
        html`<input type="radio" name="${id}-choice" id="${id}-${index}" ${index === 0 ? html` checked` : null} /><label
            for="${id}-${index}"
            >${view.wording.say(label)}</label
          >
          <div class="chosen">${drawing(figure, groups.get(value) ?? [], rows, view)}</div>`,
    )}
  </fieldset>`;
}

function drawing(figure: Figure, rows: Row[], all: Row[], view: View): Html {
  const drawn = (["wide", "narrow"] as const).map((width) => ({
    width,
    content: figure.draw!(rows, { ...view, width }, all),
  }));
  const [wide, narrow] = drawn;
  // What is no chart fits any width as it is.
  if (wide!.content.markup === narrow!.content.markup) return wide!.content;
  return html`${drawn.map(({ width, content }) => html`<div class="${width}">${content}</div>`)}`;
}
