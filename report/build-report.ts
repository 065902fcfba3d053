import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { Project } from "../domain/project.ts";
import type { Language } from "./language.ts";
import { page } from "./page.ts";
import { readFigures } from "./read.ts";
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
  const figures = SECTIONS.flatMap((section) => section.figures);
  const [mart, ops, publishedAt, styles] = await Promise.all([
    readFigures(
      analystPool,
      figures.filter(({ reader }) => reader !== "owner"),
    ),
    readFigures(
      ownerPool,
      figures.filter(({ reader }) => reader === "owner"),
    ),
    readPublishedAt(ownerPool),
    readFile(join(import.meta.dirname, "page.css"), "utf8"),
  ]);
  const { name, currency, timeZone } = project;
  const readings = new Map([...mart, ...ops]);
  return page({ project: name, currency, timeZone, publishedAt, sections: SECTIONS, readings, language, styles });
}

async function readPublishedAt(pool: pg.Pool): Promise<string | null> {
  const { rows } = await pool.query<{ at: string | null }>(
    `select to_char(max(published_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at
     from ops.relation_state where relation like 'mart.%'`,
  );
  return rows[0]?.at ?? null;
}
