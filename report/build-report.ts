import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { Project } from "../domain/project.ts";
import type { Figure } from "./figure.ts";
import { figurePart } from "./figure-part.ts";
import type { Html } from "./html.ts";
import { Wording, type Language } from "./language.ts";
import { page } from "./page.ts";
import { readFigures, type Reading } from "./read.ts";
import { SECTIONS } from "./sections.ts";

/**
 * Makes the report: one HTML file that needs nothing else.
 * @param analystPool reads the mart, from one snapshot
 * @param ownerPool reads counts of ops, and no record
 * @param language the one shown first; the page holds both
 */
export async function buildReport(
  project: Pick<Project, "name" | "currency" | "timeZone">,
  { analystPool, ownerPool, language }: { analystPool: pg.Pool; ownerPool: pg.Pool; language: Language },
): Promise<string> {
  const { name, currency, timeZone } = project;
  const wordings = { en: new Wording("en", currency), fr: new Wording("fr", currency) };
  const drawn = new Map<Figure<never>, Record<Language, Html>>();
  const draw = ({ id, figure }: { id: string; figure: Figure<never> }, reading: Reading): void => {
    const part = (language: Language) =>
      figurePart(figure as Figure, reading, `${language}-${id}`, { wording: wordings[language], timeZone });
    drawn.set(figure, { en: part("en"), fr: part("fr") });
  };
  const asked = SECTIONS.flatMap((section) =>
    section.figures.map((figure) => ({ id: `${section.id}-${figure.id}`, sql: figure.sql, figure })),
  );
  const [publishedAt, styles] = await Promise.all([
    readPublishedAt(ownerPool),
    readFile(join(import.meta.dirname, "page.css"), "utf8"),
    readFigures(
      analystPool,
      asked.filter(({ figure }) => figure.reader !== "owner"),
      draw,
    ),
    readFigures(
      ownerPool,
      asked.filter(({ figure }) => figure.reader === "owner"),
      draw,
    ),
  ]);
  return page({
    project: name,
    currency,
    timeZone,
    publishedAt,
    sections: SECTIONS,
    figures: drawn,
    wordings,
    language,
    styles,
  });
}

async function readPublishedAt(pool: pg.Pool): Promise<string | null> {
  const { rows } = await pool.query<{ at: string | null }>(
    `select to_char(max(published_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at
     from ops.relation_state where relation like 'mart.%'`,
  );
  return rows[0]?.at ?? null;
}
