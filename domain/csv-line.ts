/**
 * What a spreadsheet takes for a formula, but a phone number in international form, which is one to none of them. Means
 * the same to Postgres.
 */
export const FORMULA = /^(?!\+\d+$)[=+\-@\t\r\n]/;

/** A line of CSV (RFC 4180). A cell that a spreadsheet would run begins with an apostrophe. */
export function csvLine(cells: readonly string[]): string {
  const written = cells.map((cell) => {
    const plain = FORMULA.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  });
  return `${written.join(",")}\r\n`;
}
