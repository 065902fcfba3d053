import type { Figure, Row, Section, View } from "./figure.ts";
import { groupRows } from "./figure.ts";
import { html, Html } from "./html.ts";
import { LANGUAGES, type Language, type Text, Wording } from "./language.ts";
import { capital } from "./names.ts";
import { numbersTable } from "./numbers.ts";
import type { Reading } from "./read.ts";

export interface ReportContents {
  project: string;
  /** ISO 4217. */
  currency: string;
  /** IANA name. */
  timeZone: string;
  /** When the mart was last published, ISO 8601; null: never. */
  publishedAt: string | null;
  sections: readonly Section[];
  readings: Map<Figure<never>, Reading>;
  /** The language that is shown first. */
  language: Language;
  styles: string;
}

const NAMES: Record<Language, string> = { en: "English", fr: "Français" };

/** The whole page: both languages in one file, without a script, without anything from outside. */
export function page(contents: ReportContents): string {
  const { project, language, styles } = contents;
  const title = wordingOf(contents, language).say({
    en: `${project}: customer report`,
    fr: `${project} : rapport clients`,
  });
  // The policy makes sure of it: whatever a value holds, the browser runs and fetches nothing.
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
  return `<!doctype html>
${
  html`<html lang="${language}">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta http-equiv="Content-Security-Policy" content="${policy}" />
      <meta name="color-scheme" content="light dark" />
      <meta name="generator" content="miette" />
      <link rel="icon" href="data:," />
      <title>${title}</title>
      <style>
        ${new Html(styles)}
      </style>
    </head>
    <body>
      ${LANGUAGES.map((each) => html`<input class="language" type="radio" name="language" id="language-${each}" ${each === language ? html` checked` : null} aria-label="${NAMES[each]}" />`)}
      <div class="languages" aria-hidden="true">
        ${LANGUAGES.map((each) => html`<label for="language-${each}" lang="${each}">${NAMES[each]}</label>`)}
      </div>
      ${LANGUAGES.map((each) => edition(contents, wordingOf(contents, each)))}
    </body>
  </html>`.markup
}
`;
}

function wordingOf({ currency }: ReportContents, language: Language): Wording {
  return new Wording(language, currency);
}

/** The report in one language. */
function edition(contents: ReportContents, wording: Wording): Html {
  const { project, publishedAt, timeZone, currency, sections } = contents;
  const { language } = wording;
  const state = publishedAt
    ? wording.say({ en: "Mart of ", fr: "Mart du " }) + wording.instant(publishedAt, timeZone)
    : wording.say({ en: "The mart was not built yet", fr: "Le mart n’est pas encore construit" });
  return html`<div class="edition" lang="${language}">
    <header>
      <p class="kicker">${wording.say({ en: "Customer report", fr: "Rapport clients" })}</p>
      <h1>${capital(project.replaceAll(/[-_]/g, " "))}</h1>
      <p class="state">${state} · ${currency} · ${timeZone}</p>
      <nav aria-label="${wording.say({ en: "Sections", fr: "Rubriques" })}">
        <ul>
          ${sections.map(
            (section) => html`<li><a href="#${language}-${section.id}">${wording.say(section.title)}</a></li>`,
          )}
        </ul>
      </nav>
    </header>
    <main>${sections.map((section) => sectionPart(contents, section, wording))}</main>
    <footer>
      <p>
        ${wording.say({
          en: "Every figure comes from the select beneath it, all read from one snapshot of the mart. To ask further: miette query.",
          fr: "Chaque chiffre vient du select placé dessous, tous lus dans un même instantané du mart. Pour aller plus loin : miette query.",
        })}
      </p>
    </footer>
  </div>`;
}

function sectionPart(contents: ReportContents, section: Section, wording: Wording): Html {
  const id = `${wording.language}-${section.id}`;
  return html`<section id="${id}" aria-labelledby="${id}-title">
    <div class="rail">
      <h2 id="${id}-title">${wording.say(section.title)}</h2>
      <p>${wording.say(section.lead)}</p>
    </div>
    <div class="figures">
      ${section.figures.map((each) => figurePart(contents, each as Figure, `${id}-${each.id}`, wording))}
    </div>
  </section>`;
}

function figurePart({ readings, timeZone }: ReportContents, figure: Figure, id: string, wording: Wording): Html {
  const reading = readings.get(figure as Figure<never>) ?? { missing: true };
  const view: View = { wording, width: "wide", timeZone };
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
