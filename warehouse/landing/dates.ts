import { type Parsed, Rejection } from "./rejection.ts";

const BAD_DATE = new Rejection("not_a_date");
const DATE_RANGE = new Rejection("date_out_of_range");

/** ISO 8601, extended (2024-02-29) or basic (20240229). */
const DATE = /^(\d{4})-?(\d{2})-?(\d{2})$/;
const FAR = /^[+-]?\d{5,}-|^-?infinity$| BC$/i;

export function parseDate(value: string): Parsed {
  const text = value.trim();
  const match = DATE.exec(text);
  if (!match) return FAR.test(text) ? DATE_RANGE : BAD_DATE;
  return isDay(match[1], match[2], match[3]) ? `${match[1]}-${match[2]}-${match[3]}` : BAD_DATE;
}

function isDay(year = "", month = "", day = ""): boolean {
  const [y, m, d] = [Number(year), Number(month), Number(day)];
  if (y < 1 || m < 1 || m > 12 || d < 1) return false;
  const leap = (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0;
  return d <= (m === 2 ? (leap ? 29 : 28) : m === 4 || m === 6 || m === 9 || m === 11 ? 30 : 31);
}

/** ISO 8601 / RFC 3339, `T` or a space between; without an offset it is UTC; digits past the microsecond are rounded by Postgres. */
const DATE_TIME =
  /^(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,12}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

export function parseDateTime(value: string): Parsed {
  const text = value.trim();
  const match = DATE_TIME.exec(text);
  if (!match) return FAR.test(text) ? DATE_RANGE : BAD_DATE;
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction, offset = "Z"] = match;
  if (!isDay(year, month, day) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return BAD_DATE;
  const zone = /^z$/i.test(offset) ? "+00" : offset;
  if (Number(zone.slice(1, 3)) > 15 || Number(zone.replace(":", "").slice(3) || 0) > 59) return BAD_DATE;
  // Postgres takes :60 as the next minute's beginning, but refuses a fraction of that second.
  const part = fraction && second !== "60" ? `.${fraction}` : "";
  return `${year}-${month}-${day} ${hour}:${minute}:${second}${part}${zone}`;
}
