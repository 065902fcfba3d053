import { InvalidArgumentError } from "commander";

/** An option's time, as an ISO 8601 day or a time with its offset. */
export function parseTime(text: string): Date {
  const date = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2}))?$/.test(text) || Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError("write a day or a time with its offset, as in 2027-03-31T12:00:00Z.");
  }
  return date;
}
