import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import type pg from "pg";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { openPool } from "../warehouse/database.ts";
import { buildReport } from "./build-report.ts";
import type { Figure } from "./figure.ts";
import { readFigures } from "./read.ts";
import { SECTIONS } from "./sections.ts";
import { buildShop, HOSTILE_NAMES } from "./test-shop.ts";

const PROJECT = { name: "test-shop", currency: "EUR", timeZone: "Europe/Paris" };
const FIGURES = SECTIONS.flatMap((section) =>
  section.figures.map((figure) => ({ id: `${section.id}-${figure.id}`, figure: figure as Figure })),
);

/** As the analyst sees it, who may read the mart alone. */
function analystPool(url: string): pg.Pool {
  const options = "-c role=analyst -c timezone=UTC -c datestyle=ISO";
  return openPool(`${url}?options=${encodeURIComponent(options)}`, { max: 2, name: "test" });
}

let shop: TestDatabase;
let analyst: pg.Pool;
let report: string;

beforeAll(async () => {
  shop = await createTestDatabase();
  analyst = analystPool(shop.url);
  await buildShop(shop.pool, { orders: 1200 });
  // Half of the memberships began earlier, so that the segments have a past.
  await shop.pool.query(
    `update mart.fct_segment_memberships set valid = tstzrange(lower(valid) - interval '20 days', null)
     where customer_id::text < '8'`,
  );
  report = await buildReport(PROJECT, { analystPool: analyst, ownerPool: shop.pool, language: "en" });
}, 180_000);
afterAll(async () => {
  await analyst?.end();
  await shop?.drop();
});

describe("the report", () => {
  it("is smaller than 1.5 MB", () => {
    expect(Buffer.byteLength(report)).toBeLessThan(1_500_000);
  });

  it("shows every figure, since the shop has something for each", () => {
    expect(report.match(/class="empty"/g)?.length ?? 0).toBe(4); // The streams and the quarantine, in two languages.
  });

  it("names no other host and holds no script", () => {
    const outside = [
      /<(?:script|iframe|object|embed|base)\b/gi,
      /<link(?! rel="icon" href="data:,")/gi,
      /@import|url\((?!#)/gi,
      /\b(?:src|href)="(?!#|data:,)/gi,
      /<[^>]*\son\w+=/gi,
    ];
    expect(outside.flatMap((pattern) => report.match(pattern) ?? [])).toEqual([]);
  });

  it("reads as the analyst, who sees the mart alone, and cannot write, whoever reads", async () => {
    const readings: unknown[] = [];
    const ask = (pool: pg.Pool, sql: string) =>
      readFigures(pool, [{ sql }], (_, reading) => void readings.push(reading));
    await ask(analyst, "select from core.people");
    expect(readings).toEqual([{ problem: expect.stringContaining("permission denied") as string }]);
    await expect(ask(shop.pool, "create table mart.taken ()")).rejects.toThrow(/read-only transaction/);
  });
});

describe("the report of an empty warehouse", () => {
  it("says of each part what to do first", async () => {
    const empty = await createTestDatabase();
    const reader = analystPool(empty.url);
    const page = await buildReport(PROJECT, { analystPool: reader, ownerPool: empty.pool, language: "fr" });
    for (const { figure } of FIGURES) {
      expect([figure.empty.en, figure.empty.fr].filter((text) => !page.includes(escaped(text)))).toEqual([]);
    }
    await reader.end();
    await empty.drop();
  });

  it("shows the rest where a project's own model lacks a column", async () => {
    const other = await createTestDatabase();
    const reader = analystPool(other.url);
    await other.pool.query(
      `create table mart.customer_metrics (customer_id uuid, monetary numeric);
       create table mart.dim_segments (segment text, description text, consent text, customers bigint, share numeric);
       insert into mart.dim_segments values ('bargain hunters', 'to sell', null, 41, 0.5);
       grant select on all tables in schema mart to analyst`,
    );
    const page = await buildReport(PROJECT, { analystPool: reader, ownerPool: other.pool, language: "en" });
    const texts = ["what the figure asks for: column &#34;recency_score&#34; does not exist", "Bargain hunters"];
    expect(texts.filter((text) => !page.includes(text))).toEqual([]);
    await reader.end();
    await other.drop();
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const CHROMIUM = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find((path) => existsSync(path));
if (!CHROMIUM) console.warn("The report's tests in a browser are skipped: there is no chromium in the PATH.");

const ARGS = [
  "--no-sandbox",
  "--headless",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

describe.skipIf(!CHROMIUM)("in a browser, the report", () => {
  let folder: string;
  let browser: Browser;
  const seen: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "miette-report-"));
    await writeFile(join(folder, "report.html"), report);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ARGS });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens the report; every message of the console and every request but for the file itself is noted in `seen`. */
  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const url = pathToFileURL(join(folder, "report.html")).href;
    page.on("console", (message) => seen.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => seen.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      seen.push("dialog");
      void dialog.dismiss();
    });
    await context.route("**/*", async (route) => {
      const { resourceType, url: asked } = { resourceType: route.request().resourceType(), url: route.request().url() };
      if (asked === url && resourceType === "document") return await route.continue();
      seen.push(`request: ${asked}`);
      await route.abort();
    });
    await page.goto(url);
    return page;
  }

  it("opens without an error in the console and without a request to anywhere", async () => {
    const page = await open();
    await page.click("label[for=language-fr]");
    for (const summary of await page.locator(".edition[lang=fr] summary").all()) await summary.click();
    expect(seen).toEqual([]);
    expect(await page.title()).toBe("test-shop: customer report");
    await page.context().close();
  });

  it("shows values as text, whatever they hold", async () => {
    const page = await open();
    const goals = await page.locator(".edition[lang=en] .goal-head strong").allTextContents();
    expect(goals.toSorted()).toEqual(["Orders so far", ...HOSTILE_NAMES].toSorted());
    expect(await page.locator("h1").count()).toBe(2);
    expect(await page.locator("script, img").count()).toBe(0);
    await page.context().close();
  });

  it("shows in its tables what its selects return", async () => {
    const page = await open();
    for (const { id, figure } of FIGURES) {
      const shown = await page.locator(`figure[aria-labelledby="en-${id}"]`).evaluate((element) => ({
        sql: element.querySelector("pre")!.textContent,
        rows: [...element.querySelectorAll("tbody tr")].map((row) =>
          [...row.querySelectorAll("td")].map((cell) => cell.textContent),
        ),
      }));
      expect(shown.sql).toBe(figure.sql.trim());
      if (figure.reader === "owner") continue;
      const { rows } = await analyst.query<Record<string, unknown>>(shown.sql);
      expect([id, rows.length]).not.toEqual([id, 0]);
      const columns = Object.entries(figure.columns);
      expect(shown.rows.length, id).toBe(Math.min(rows.length, 200));
      for (const [index, cells] of shown.rows.entries()) {
        for (const [column, [name, { as }]] of columns.entries()) {
          expectShown(`${id} ${name}`, cells[column]!, rows[index]![name], as);
        }
      }
    }
    await page.context().close();
  });

  it("adds up to what the mart holds", async () => {
    const page = await open();
    const one = async (sql: string) => Number(Object.values((await shop.pool.query(sql)).rows[0] as object)[0]);
    const column = async (id: string, index: number) =>
      (await page.locator(`figure[aria-labelledby="en-${id}"] tbody td:nth-child(${index})`).allTextContents()).map(
        parseNumber,
      );
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

    expect(sum(await column("revenue-by-month", 2))).toBeCloseTo(
      await one("select sum(amount) from mart.fct_orders"),
      1,
    );
    expect(sum(await column("revenue-by-month", 5))).toBe(await one("select count(*) from mart.fct_orders"));
    expect(sum(await column("rfm-map", 3))).toBe(await one("select count(*) from mart.customer_metrics"));
    expect(sum(await column("satisfaction-by-month", 2))).toBe(await one("select count(*) from mart.fct_reviews"));
    expect(sum(await column("segments-today", 4))).toBe(
      await one("select count(*) from mart.fct_segment_memberships where upper_inf(valid)"),
    );
    const map = await page.locator('figure[aria-labelledby="en-rfm-map"] .narrow text').allTextContents();
    const cells = map.filter((text) => /^[\d,]+$/.test(text)).map(parseNumber);
    // Drawn are the cells and the two axes from 1 to 5.
    expect(sum(cells)).toBe(30 + (await one("select count(*) from mart.customer_metrics")));
    await page.context().close();
  });

  it("offers every attribution model, with bars and a ring of the same order of channels", async () => {
    const page = await open();
    const figure = page.locator('figure[aria-labelledby="en-channels-by-model"]');
    const models = await figure.locator(".choice > label").allTextContents();
    expect(models).toEqual(["Last non-direct", "First", "Last", "Linear", "Position-based", "Time decay"]);
    for (const [index, model] of [
      "last_non_direct",
      "first",
      "last",
      "linear",
      "position_based",
      "time_decay",
    ].entries()) {
      await figure.locator(".choice > label").nth(index).click();
      const drawing = figure.locator(".chosen:visible .wide:visible");
      expect(await drawing.count()).toBe(1);
      const { rows } = await shop.pool.query<{ channel: string }>(
        `select channel from mart.channel_performance where model = $1 and date > (select max(date) from mart.channel_performance) - 365
         group by channel having sum(revenue) > 0 order by sum(revenue) desc, channel`,
        [model],
      );
      const labels = await drawing.locator("text").allTextContents();
      expect(labels.slice(0, rows.length)).toEqual(rows.map(({ channel }) => channel));
    }
    await page.context().close();
  });

  it.each([
    { width: 320, height: 640 },
    { width: 390, height: 844 },
    { width: 820, height: 1180 },
    { width: 1440, height: 900 },
  ])("fits a screen of $width by $height without scrolling sideways, in both languages", async (viewport) => {
    const page = await open({ viewport });
    for (const language of ["en", "fr"]) {
      await page.click(`label[for=language-${language}]`);
      await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(viewport.width);
      const shown = await page.locator(viewport.width < 640 ? ".narrow:visible" : ".wide:visible").count();
      expect(shown).toBeGreaterThan(8);
    }
    await page.context().close();
  });

  it("is light or dark as the reader's screen is, and readable in both", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await open({ colorScheme });
      const colour = (property: string) => page.evaluate<string>(`getComputedStyle(document.body).${property}`);
      const [ink, ground] = [brightness(await colour("color")), brightness(await colour("backgroundColor"))];
      expect(colorScheme === "dark" ? ink - ground : ground - ink).toBeGreaterThan(0.6);
      expect(await page.evaluate(await readFile(join(import.meta.dirname, "test-contrasts.js"), "utf8"))).toEqual([]);
      await page.context().close();
    }
  });

  it("prints on white, charts and numbers of the last sync, without buttons", async () => {
    const page = await open({ colorScheme: "dark" });
    await page.emulateMedia({ media: "print" });
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(255, 255, 255)");
    expect(await page.locator(".wide:visible").count()).toBeGreaterThan(8);
    expect(await page.locator("nav:visible, .languages:visible, summary:visible").count()).toBe(0);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    const pdf = await page.pdf({ format: "A4" });
    const pages = pdf.toString("latin1").match(/\/Type \/Page\b/g)?.length ?? 0;
    expect(pages).toBeGreaterThan(3);
    expect(pages).toBeLessThan(14);
    await page.context().close();
  });

  it("can be read by ear: one heading per part, a name for every chart, tables with headers", async () => {
    const page = await open();
    const edition = page.locator(".edition[lang=en]");
    expect(await edition.locator("h2").count()).toBe(SECTIONS.length);
    expect(await edition.locator("h3").count()).toBe(FIGURES.length);
    expect(await edition.locator("figure svg:not([aria-hidden]):not([role=img][aria-label])").count()).toBe(0);
    expect(await edition.locator("table:not(:has(th[scope=col]))").count()).toBe(0);
    const ids = await page.locator("[id]").evaluateAll((elements) => elements.map(({ id }) => id));
    expect(new Set(ids).size).toBe(ids.length);
    const links = await page
      .locator("nav a")
      .evaluateAll((anchors) => anchors.map((anchor) => anchor.getAttribute("href")!.slice(1)));
    expect(links.filter((id) => !ids.includes(id))).toEqual([]);
    await page.keyboard.press("Tab");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator(".edition[lang=fr]").isVisible()).toBe(true);
    await page.context().close();
  });
});

/** A number as the English page writes it. */
function parseNumber(text: string): number {
  return Number(text.replace("−", "-").replaceAll(/[^\d.-]/g, ""));
}

function expectShown(what: string, shown: string, value: unknown, as: string): void {
  if (value === null) return expect(shown, what).toBe("–");
  if (typeof value !== "number") {
    if (as === "text") expect(shown, what).toBe(value);
    return;
  }
  const digits = { count: 0, decimal: 2, signed: 2, money: 2, share: 1 }[as] ?? 3;
  const scaled = as === "share" ? value * 100 : value;
  const tolerance = as === "figure" ? Math.max(0.5, Math.abs(value) / 1000) : 0.5 * 10 ** -digits + 1e-9;
  expect(Math.abs(parseNumber(shown) - scaled), `${what}: ${shown} for ${value}`).toBeLessThanOrEqual(tolerance);
}

/** Of `rgb(…)`, from 0 to 1. */
function brightness(colour: string): number {
  const parts = (colour.match(/\d+/g) ?? []).slice(0, 3).map(Number);
  return parts.reduce((sum, part) => sum + part, 0) / 765;
}
