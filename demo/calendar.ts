/** Days are numbers since 1970-01-01, instants are milliseconds since then; the shop's days begin in Paris. */

export const DAY_MS = 86_400_000;
export const MINUTE_MS = 60_000;

const TIME_ZONE = "Europe/Paris";
const offsetFormat = new Intl.DateTimeFormat("en-GB", { timeZone: TIME_ZONE, timeZoneName: "longOffset" });
const dateFormat = new Intl.DateTimeFormat("en-CA", {
  timeZone: TIME_ZONE,
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
});
const offsets = new Map<number, number>();

/** The day of `2026-11-24` or `20261124`. */
export function parseDay(text: string): number {
  const match = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(text);
  if (!match) throw new RangeError(`not a date: ${text}`);
  return Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])) / DAY_MS;
}

/** `2026-11-24`. */
export function formatDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** The instant of a wall-clock time in Paris. Right from 03:00 on: clocks change before, and the shop's people sleep. */
export function parisInstant(day: number, secondOfDay: number): number {
  return day * DAY_MS + secondOfDay * 1000 - offsetMs(day);
}

/** The day in Paris of an instant. */
export function parisDay(instant: number): number {
  return parseDay(dateFormat.format(instant));
}

/** The first days of the month of `day` and of the month after it. */
export function monthAround(day: number): { from: number; to: number } {
  const date = new Date(day * DAY_MS);
  const month = (offset: number) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + offset, 1) / DAY_MS;
  return { from: month(0), to: month(1) };
}

export function formatInstant(instant: number): string {
  return new Date(instant).toISOString();
}

function offsetMs(day: number): number {
  const known = offsets.get(day);
  if (known !== undefined) return known;
  const match = /GMT\+(\d{2}):(\d{2})/.exec(offsetFormat.format(day * DAY_MS + DAY_MS / 2));
  if (!match) throw new Error(`no offset of ${TIME_ZONE} for ${formatDay(day)}`);
  const offset = (Number(match[1]) * 60 + Number(match[2])) * MINUTE_MS;
  offsets.set(day, offset);
  return offset;
}
