export const LANGUAGES = ["en", "fr"] as const;

export type Language = (typeof LANGUAGES)[number];

/** A text in every language of the report. */
export type Text = Record<Language, string>;

/** Numbers, money, days and names as a language writes them. */
export class Wording {
  readonly language: Language;
  readonly #locale: string;
  readonly #currency: string;
  readonly #formatters = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

  /** @param currency the reporting currency, ISO 4217 */
  constructor(language: Language, currency: string) {
    this.language = language;
    this.#locale = language === "en" ? "en-GB" : "fr-FR";
    this.#currency = currency;
  }

  say(text: Text): string {
    return text[this.language];
  }

  count(value: number): string {
    return this.#format(value, { maximumFractionDigits: 0 });
  }

  decimal(value: number, digits = 2): string {
    return this.#format(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  /** A figure of unknown size: up to four digits that count. */
  figure(value: number): string {
    return this.#format(
      value,
      Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 },
    );
  }

  /** A share, where 1 is 100 %. */
  share(value: number, digits = 1): string {
    return this.#format(value, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  /** A difference with its sign. */
  signed(value: number, digits = 2): string {
    return this.#format(value, {
      signDisplay: "exceptZero",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
  }

  change(value: number): string {
    return this.#format(value, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: 0 });
  }

  money(value: number): string {
    return this.#format(value, { style: "currency", currency: this.#currency });
  }

  /** Money for an axis or a headline: 1.2m rather than 1,234,567.89. */
  shortMoney(value: number): string {
    return this.#format(value, {
      style: "currency",
      currency: this.#currency,
      notation: "compact",
      maximumSignificantDigits: 3,
    });
  }

  shortCount(value: number): string {
    return this.#format(value, { notation: "compact", maximumSignificantDigits: 3 });
  }

  /** @param day YYYY-MM-DD */
  date(day: string): string {
    return this.#day(day, { day: "numeric", month: "short", year: "numeric" });
  }

  month(day: string): string {
    return this.#day(day, { month: "short", year: "numeric" });
  }

  /** A month for an axis, where the year is said in January and at the start. */
  shortMonth(day: string, isFirst: boolean): string {
    const month = this.#day(day, { month: "short" });
    return isFirst || day.slice(5, 7) === "01" ? `${month}\n${day.slice(0, 4)}` : month;
  }

  /** @param instant ISO 8601; shown to the minute, in the time zone given */
  instant(instant: string, timeZone: string): string {
    return this.#date(new Date(instant), { dateStyle: "medium", timeStyle: "short", timeZone });
  }

  #format(value: number, options: Intl.NumberFormatOptions): string {
    const formatter = this.#cached(options, () => new Intl.NumberFormat(this.#locale, options));
    // The true minus sign, which is as wide as the plus.
    return formatter.format(value).replace("-", "−");
  }

  #day(day: string, options: Intl.DateTimeFormatOptions): string {
    const instant = new Date(`${day}T00:00:00Z`);
    // Postgres' infinity and years beyond 9999 are no dates to JavaScript.
    return Number.isNaN(instant.getTime()) ? day : this.#date(instant, { ...options, timeZone: "UTC" });
  }

  #date(instant: Date, options: Intl.DateTimeFormatOptions): string {
    return this.#cached(options, () => new Intl.DateTimeFormat(this.#locale, options)).format(instant);
  }

  /** Making a formatter (1 ms) takes as long as 700 uses of it. */
  #cached<T extends Intl.NumberFormat | Intl.DateTimeFormat>(options: object, make: () => T): T {
    const key = JSON.stringify(options);
    const formatter = (this.#formatters.get(key) as T | undefined) ?? make();
    this.#formatters.set(key, formatter);
    return formatter;
  }
}
