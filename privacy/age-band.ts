/** The first age of each band above the minors' own. */
const BANDS = [18, 25, 35, 45, 55, 65];

/**
 * The band of a person's age on a day: `under_16`, `16-17`, `18-24`, … `65+`. A date of which only the year is known counts
 * as the last of its days, so that nobody is taken for older than they may be.
 * @param birthDate ISO 8601: `2010-02-29`, `2010-02` or `2010`
 * @param ageOfConsent the first age in years that is no minor's
 * @returns null where the text is no date, or no living person's: in the future, or over 130 years ago
 */
export function ageBand(birthDate: string, ageOfConsent: number, day: Date): string | null {
  const match = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?!\d)/.exec(birthDate);
  if (!match) return null;
  const [year, month, date] = [Number(match[1]), Number(match[2] ?? 12), Number(match[3] ?? 31)];
  const isBefore = (day.getUTCMonth() + 1) * 100 + day.getUTCDate() < month * 100 + date;
  const age = day.getUTCFullYear() - year - (isBefore ? 1 : 0);
  if (age < -1 || (age < 0 && match[3] !== undefined) || age > 130) return null;
  if (age < ageOfConsent) return `under_${ageOfConsent}`;
  const starts = [ageOfConsent, ...BANDS.filter((start) => start > ageOfConsent)];
  const index = starts.findLastIndex((start) => age >= start);
  const next = starts[index + 1];
  return next === undefined ? `${starts[index]}+` : `${starts[index]}-${next - 1}`;
}
