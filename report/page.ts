import type { Figure, Section } from "./figure.ts";
import { html, Html } from "./html.ts";
import { LANGUAGES, type Language, type Wording } from "./language.ts";
import { capital } from "./names.ts";

export interface ReportContents {
  project: string;
  /** ISO 4217. */
  currency: string;
  /** IANA name. */
  timeZone: string;
  /** When the mart was last published, ISO 8601; null: never. */
  publishedAt: string | null;
  sections: readonly Section[];
  /** The figures as they were drawn. */
  figures: Map<Figure<never>, Record<Language, Html>>;
  wordings: Record<Language, Wording>;
  /** The language that is shown first. */
  language: Language;
  styles: string;
}

const NAMES: Record<Language, string> = { en: "English", fr: "Français" };

/** The whole page: both languages in one file, without a script, without anything from outside. */
export function page(contents: ReportContents): string {
  const { project, language, styles, wordings } = contents;
  const title = wordings[language].say({
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
      ${LANGUAGES.map((each) => edition(contents, wordings[each]))}
    </body>
  </html>`.markup
}
`;
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

function sectionPart({ figures }: ReportContents, section: Section, wording: Wording): Html {
  const id = `${wording.language}-${section.id}`;
  return html`<section id="${id}" aria-labelledby="${id}-title">
    <div class="rail">
      <h2 id="${id}-title">${wording.say(section.title)}</h2>
      <p>${wording.say(section.lead)}</p>
    </div>
    <div class="figures">${section.figures.map((each) => figures.get(each)?.[wording.language] ?? null)}</div>
  </section>`;
}
