/** Writes a value, given as Postgres writes it, as a cell; null where no cell can hold it. */
export type CellWriter = (text: string) => string | null;

const LONGEST_TEXT = 32_767;
const DAY = 86_400_000;
/** Day 0 of a spreadsheet's calendar, which believes that 1900 was a leap year: right from 1 March 1900 on. */
const EPOCH = Date.UTC(1899, 11, 30);
const FIRST_DAY = Date.UTC(1900, 2, 1);

/** @param kind the type's name in Postgres' catalogue */
export function cellWriter(kind: string): CellWriter {
  switch (kind) {
    case "bool":
      return (text) => `<c t="b"><v>${text === "true" ? 1 : 0}</v></c>`;
    case "int2":
    case "int4":
    case "float4":
    case "float8":
      return doubleCell;
    case "int8":
    case "numeric":
      return numericCell;
    case "date":
      return (text) => instantCell(text, 2);
    case "timestamp":
    case "timestamptz":
      return (text) => instantCell(text, 3);
    default:
      return textCell;
  }
}

export function headerRow(names: string[]): string {
  return `<row>${names.map((name) => `<c s="1" t="inlineStr"><is><t xml:space="preserve">${escapeXml(name)}</t></is></c>`).join("")}</row>`;
}

/** What is a double in Postgres too; `NaN` and `Infinity` are words to a spreadsheet. */
function doubleCell(text: string): string | null {
  return Number.isFinite(Number(text)) ? `<c><v>${Number(text)}</v></c>` : textCell(text);
}

/** A number where no digit is lost, else text: a double keeps any 15 digits, and a spreadsheet shows no more. */
function numericCell(text: string): string | null {
  const significant = text.replaceAll(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "");
  return significant.length <= 15 ? doubleCell(text) : textCell(text);
}

/** Days since the epoch, the time of day in UTC as a fraction; text where the calendar of spreadsheets does not reach. */
function instantCell(text: string, style: number): string | null {
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", offset = "+00"] =
    /^(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(\.\d+)?([+-]00)?)?$/.exec(text) ?? [];
  if (year === undefined || offset !== "+00") return textCell(text);
  const milliseconds =
    Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) +
    Math.round(Number(`0${fraction}`) * 1000);
  if (milliseconds < FIRST_DAY) return textCell(text);
  return `<c s="${style}"><v>${(milliseconds - EPOCH) / DAY}</v></c>`;
}

/** Text is never a formula, whatever it starts with. */
function textCell(text: string): string | null {
  if (text.length > LONGEST_TEXT) return null;
  return `<c t="inlineStr"><is><t xml:space="preserve">${escapeXml(text)}</t></is></c>`;
}

/** Characters that XML can't hold are written as `_x0001_`, and what looks like such a writing gets one itself. */
function escapeXml(text: string): string {
  if (!/[&<>_\p{Cc}\ufffe\uffff]/u.test(text)) return text;
  return text
    .replaceAll(/_(?=x[0-9a-f]{4}_)/gi, "_x005F_")
    .replaceAll(/[\p{Cc}\ufffe\uffff]/gu, (character) =>
      character === "\t" || character === "\n"
        ? character
        : `_x${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}_`,
    )
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
