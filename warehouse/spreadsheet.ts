import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import { UserError } from "../domain/errors.ts";
import { cellWriter, headerRow, type CellWriter } from "./spreadsheet-cells.ts";

export interface ExportedColumn {
  name: string;
  /** As SQL writes it: `numeric(12,2)`. */
  type: string;
  /** Name of the type in the catalogue: `numeric`. */
  kind: string;
  /** What it means; empty where the catalogue says nothing. */
  comment: string;
}

export interface ExportedRelation {
  name: string;
  columns: ExportedColumn[];
  /** Rows of values as Postgres writes them as text; null: no value. */
  batches: AsyncIterable<(string | null)[][]>;
}

/** The most rows of a sheet, its header included. */
const MOST_ROWS = 1_048_576;
const NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE = "http://schemas.openxmlformats.org/package/2006";
const DOCUMENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml";
const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';

/**
 * Writes an Office Open XML workbook: the rows, on further sheets beyond 1,048,576, and a sheet that explains the columns.
 * Rows pass through in the batches in which they come, as fast as `out` takes them, so memory stays the same for any number
 * of rows. (A writer of our own over a zip library: those of the registry that stream hold the rows back until the end,
 * know one sheet only, or don't wait for a slow reader.)
 * @param mostRows rows of a sheet, its header included; fewer in tests
 * @throws UserError where a text is longer than a cell can hold
 */
export async function writeSpreadsheet(
  relation: ExportedRelation,
  out: NodeJS.WritableStream,
  mostRows = MOST_ROWS,
): Promise<void> {
  const zip = new ZipFile();
  // An entry that can't be read has rejected already where it was added.
  zip.on("error", () => undefined);
  const zipped = new PassThrough();
  zip.outputStream.pipe(zipped);
  const written = pipeline(zipped, out, { end: false });
  const fill = async (): Promise<void> => {
    const sheets: string[] = [];
    const add = async (name: string, xml: AsyncIterable<string>): Promise<void> => {
      sheets.push(name);
      await addEntry(zip, `xl/worksheets/sheet${sheets.length}.xml`, xml);
    };
    const base = relation.name.split(".").at(-1) ?? relation.name;
    const rows = new RowSource(relation);
    do await add(sheetName(base, sheets.length + 1), sheetXml(relation.columns, rows.take(mostRows - 1)));
    while (await rows.hasMore());
    await add(base.toLowerCase() === "columns" ? "Column list" : "Columns", explanationXml(relation));
    for (const [path, xml] of workbookParts(sheets)) zip.addBuffer(Buffer.from(XML + xml), path);
    zip.end();
  };
  // What fails while filling must end the output too, and the other way round.
  await Promise.all([
    fill().catch((error: unknown) => {
      zipped.destroy(error as Error);
      throw error;
    }),
    written,
  ]);
}

async function addEntry(zip: ZipFile, path: string, xml: AsyncIterable<string>): Promise<void> {
  const content = Readable.from(xml, { objectMode: false });
  const read = new Promise<void>((resolve, reject) => {
    content.once("end", resolve);
    content.once("error", reject);
    content.once("close", resolve);
  });
  zip.addReadStream(content, path);
  await read;
}

/** Hands out encoded rows up to a number, and keeps what is left of a batch for the next sheet. */
class RowSource {
  readonly #batches: AsyncIterator<(string | null)[][]>;
  readonly #columns: ExportedColumn[];
  readonly #writers: CellWriter[];
  readonly #relation: string;
  #batch: (string | null)[][] = [];
  #next = 0;

  constructor({ name, columns, batches }: ExportedRelation) {
    this.#batches = batches[Symbol.asyncIterator]();
    this.#columns = columns;
    this.#writers = columns.map(({ kind }) => cellWriter(kind));
    this.#relation = name;
  }

  async hasMore(): Promise<boolean> {
    while (this.#next >= this.#batch.length) {
      const { done, value } = await this.#batches.next();
      if (done) return false;
      this.#batch = value;
      this.#next = 0;
    }
    return true;
  }

  async *take(most: number): AsyncGenerator<string> {
    for (let left = most; left > 0 && (await this.hasMore());) {
      const rows = this.#batch.slice(this.#next, this.#next + left);
      this.#next += rows.length;
      left -= rows.length;
      yield rows.map((row) => this.#row(row)).join("");
    }
  }

  #row(values: (string | null)[]): string {
    let cells = "";
    for (let index = 0; index < values.length; index++) {
      const value = values[index] ?? null;
      const cell = value === null ? "<c/>" : this.#writers[index]!(value);
      if (cell === null) {
        throw new UserError(
          "has a text of more than 32,767 characters, which no cell of a spreadsheet can hold; export it as csv or jsonl.",
          { key: `${this.#relation}.${this.#columns[index]!.name}` },
        );
      }
      cells += cell;
    }
    return `<row>${cells}</row>`;
  }
}

async function* sheetXml(columns: ExportedColumn[], rows: AsyncIterable<string>): AsyncGenerator<string> {
  const widths = columns.map(({ name, kind }) => Math.max(name.length + 2, kind.startsWith("timestamp") ? 20 : 12));
  yield sheetStart(widths) + headerRow(columns.map(({ name }) => name));
  yield* rows;
  yield "</sheetData></worksheet>";
}

async function* explanationXml({ columns }: ExportedRelation): AsyncGenerator<string> {
  const text = cellWriter("text");
  const rows = columns.map(({ name, type, comment }) => `<row>${[name, type, comment].map(text).join("")}</row>`);
  yield `${sheetStart([28, 28, 100])}${headerRow(["column", "type", "comment"])}${rows.join("")}</sheetData></worksheet>`;
}

/** A header that stays in sight. */
function sheetStart(widths: number[]): string {
  const columns = widths.map(
    (width, index) => `<col min="${index + 1}" max="${index + 1}" width="${width}" customWidth="1"/>`,
  );
  return `${XML}<worksheet xmlns="${NAMESPACE}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>${
    columns.length > 0 ? `<cols>${columns.join("")}</cols>` : ""
  }<sheetData>`;
}

/** 31 characters at most, and none of those that a sheet's name can't have. */
function sheetName(relation: string, number: number): string {
  const suffix = number === 1 ? "" : ` (${number})`;
  return relation.replaceAll(/[[\]:*?/\\']/g, "_").slice(0, 31 - suffix.length) + suffix;
}

function workbookParts(sheets: string[]): [string, string][] {
  const text = (name: string) => name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  return [
    [
      "[Content_Types].xml",
      `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${DOCUMENT_TYPE}.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="${DOCUMENT_TYPE}.styles+xml"/>${sheets.map((_, index) => `<Override PartName="/xl/worksheets/sheet${index + 1}.xml" ContentType="${DOCUMENT_TYPE}.worksheet+xml"/>`).join("")}</Types>`,
    ],
    [
      "_rels/.rels",
      `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${RELATIONSHIPS}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    ],
    [
      "xl/workbook.xml",
      `<workbook xmlns="${NAMESPACE}" xmlns:r="${RELATIONSHIPS}"><sheets>${sheets.map((name, index) => `<sheet name="${text(name)}" sheetId="${index + 1}" r:id="rId${index + 1}"/>`).join("")}</sheets></workbook>`,
    ],
    [
      "xl/_rels/workbook.xml.rels",
      `<Relationships xmlns="${PACKAGE}/relationships">${sheets.map((_, index) => `<Relationship Id="rId${index + 1}" Type="${RELATIONSHIPS}/worksheet" Target="worksheets/sheet${index + 1}.xml"/>`).join("")}<Relationship Id="rId${sheets.length + 1}" Type="${RELATIONSHIPS}/styles" Target="styles.xml"/></Relationships>`,
    ],
    // Cell formats 0 to 3: plain, bold, a day, an instant.
    [
      "xl/styles.xml",
      `<styleSheet xmlns="${NAMESPACE}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="4"><xf/><xf fontId="1" applyFont="1"/><xf numFmtId="164" applyNumberFormat="1"/><xf numFmtId="165" applyNumberFormat="1"/></cellXfs></styleSheet>`,
    ],
  ];
}
