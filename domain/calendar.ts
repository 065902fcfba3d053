/** Days as a calendar has them, `2027-02-28`, in a time zone. Pure. */

const DAY_MS = 86_400_000;

/** The day that it is at an instant in an IANA time zone. */
export function dayAt(instant: Date, timeZone: string): string {
  const parts = formatOf(timeZone).formatToParts(instant);
  const part = (type: string): string => parts.find((each) => each.type === type)?.value ?? "";
  return `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`;
}

/** Making a format takes 50 times as long as using it. */
const formats = new Map<string, Intl.DateTimeFormat>();
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    const digits = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", { timeZone, ...digits });
    formats.set(timeZone, format);
  }
  return format;
}

/**
 * The last millisecond of a day in a time zone: one before the first instant at which it is a later day there. A day may
 * have 23 or 25 hours, begin at one o'clock, or be left out (Samoa, 30 December 2011).
 */
export function endOfDay(day: string, timeZone: string): Date {
  const utc = Date.parse(`${day}T00:00:00Z`);
  // No zone is more than 14 hours ahead of UTC or 12 behind it.
  let [low, high] = [utc - 15 * 3_600_000, utc + DAY_MS + 15 * 3_600_000];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (dayAt(new Date(middle), timeZone) > day) high = middle;
    else low = middle;
  }
  return new Date(low);
}

export function addDays(day: string, count: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + count * DAY_MS).toISOString().slice(0, 10);
}

/**
 * The day of the same number some months later, or the month's last where it has no such day: 31 January and a month is
 * 28 or 29 February (Regulation (EEC, Euratom) 1182/71, article 3(2)(c)).
 */
export function addMonths(day: string, count: number): string {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  const last = new Date(Date.UTC(year, month - 1 + count + 1, 0));
  last.setUTCDate(Math.min(date, last.getUTCDate()));
  return last.toISOString().slice(0, 10);
}

/**
 * The last of so many days from Monday to Friday after a day. Public holidays count as business days: an end that is met
 * by this reckoning is met by every list of holidays.
 */
export function addBusinessDays(day: string, count: number): string {
  let at = day;
  for (let left = count; left > 0;) {
    at = addDays(at, 1);
    const weekday = new Date(`${at}T00:00:00Z`).getUTCDay();
    if (weekday !== 0 && weekday !== 6) left -= 1;
  }
  return at;
}
