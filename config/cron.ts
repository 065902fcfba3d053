interface Field {
  name: string;
  min: number;
  max: number;
  names: string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: Field[] = [
  { name: "minute", min: 0, max: 59, names: [] },
  { name: "hour", min: 0, max: 23, names: [] },
  { name: "day of the month", min: 1, max: 31, names: [] },
  { name: "month", min: 1, max: 12, names: MONTHS },
  { name: "day of the week", min: 0, max: 7, names: DAYS },
];

/** What is wrong with a cron expression of five fields (lists, ranges, steps, English names), or null. */
export function cronFlaw(expression: string): string | null {
  const parts = expression.trim().split(/\s+/);
  if (parts.length !== FIELDS.length) {
    return "must have five fields (minute, hour, day of the month, month, day of the week), as in 0 2 * * *.";
  }
  const wrong = FIELDS.find((field, index) => !(parts[index] ?? "").split(",").every((term) => isTerm(term, field)));
  if (!wrong) return null;
  return `has a wrong ${wrong.name}; it goes from ${wrong.min} to ${wrong.max}, as in *, ${wrong.min}-${wrong.max} or */2.`;
}

/** A star, a value or a range, with an optional step. */
function isTerm(term: string, field: Field): boolean {
  const [range = "", step, ...more] = term.split("/");
  if (more.length || (step !== undefined && !/^[1-9]\d?$/.test(step))) return false;
  if (range === "*") return true;
  const bounds = range.split("-").map((text) => valueOf(text, field));
  if (bounds.length > 2) return false;
  const [from, to = from] = bounds;
  return typeof from === "number" && typeof to === "number" && from >= field.min && to <= field.max && from <= to;
}

function valueOf(text: string, field: Field): number | null {
  const named = field.names.indexOf(text.toLowerCase());
  if (named >= 0) return named + field.min;
  return /^\d{1,2}$/.test(text) ? Number(text) : null;
}
