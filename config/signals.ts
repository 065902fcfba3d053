import type { Signal, StreamSchema } from "../domain/streams.ts";
import { hint } from "./suggest.ts";
import type { Path } from "./yaml-file.ts";

/** The words of a signal that name fields beside its own. */
const NAMING = ["occurred_at", "jurisdiction", "notice_version", "expires_at"] as const;
const TIME_FORMATS = ["date", "date-time"];

/** Checks that what a schema's records say about the use of data can be read from its fields, and is said by somebody. */
export function checkSignals(
  { signals = [], properties }: StreamSchema,
  report: (path: Path, message: string) => void,
): void {
  const names = Object.keys(properties);
  if (signals.length > 0 && !Object.values(properties).some(({ identifier }) => identifier)) {
    report(["signals"], "no field names who says it; give one of them identifier:, or remove the signals.");
  }
  for (const [index, signal] of signals.entries()) {
    const path: Path = ["signals", index];
    for (const word of ["field", ...NAMING] as const) {
      const name = signal[word];
      if (name === undefined) continue;
      const field = properties[name];
      const whole = field ? undefined : partOf(name, properties);
      if (whole !== undefined) {
        report(
          [...path, word],
          `${JSON.stringify(name)} is a part of ${whole}, and signals are read from whole fields; have the source deliver it as a field of its own.`,
        );
      } else if (!field) {
        report([...path, word], `${JSON.stringify(name)} is no field${hint(name, names, "the fields are")}`);
      } else if (field.personal) {
        report([...path, word], `${JSON.stringify(name)} is sealed, and the ledger is not; name a field that is open.`);
      } else if ([field.type].flat().some((type) => type === "object" || type === "array")) {
        report(
          [...path, word],
          `${JSON.stringify(name)} holds several values, and a signal is one; have the source deliver it as a field of its own.`,
        );
      } else if (word.endsWith("_at") && !TIME_FORMATS.includes(field.format ?? "")) {
        report([...path, word], `${JSON.stringify(name)} is no date or date-time; name one that is, or leave it out.`);
      }
    }
    checkWords(signal, [properties[signal.field]?.type].flat().includes("boolean"), path, report);
  }
}

/** The object of which a name such as `headers.sec_gpc` or `headers/sec_gpc` would be a part. */
function partOf(name: string, properties: StreamSchema["properties"]): string | undefined {
  const [whole = "", ...parts] = name.split(/[./]/);
  const isObject = Object.hasOwn(properties, whole) && [properties[whole]?.type].flat().includes("object");
  return parts.length > 0 && isObject ? whole : undefined;
}

function checkWords(
  { choice, purpose, given, occurred_at: at, notice_version: notice, expires_at: end }: Signal,
  isFlag: boolean,
  path: Path,
  report: (path: Path, message: string) => void,
): void {
  if (choice === "gpc" && (purpose !== undefined || given !== undefined)) {
    report(path, "the Global Privacy Control has one value and is about sale and sharing; remove purpose and given.");
  }
  if (choice === "consent" && (purpose === undefined || at === undefined)) {
    report(path, "a consent is given for one purpose at a moment; add purpose: and occurred_at:.");
  }
  if (choice !== "consent" && (notice !== undefined || end !== undefined)) {
    report(path, "only a consent has a notice and an end; remove notice_version and expires_at.");
  }
  if (choice !== "gpc" && isFlag === (given !== undefined)) {
    const mend = isFlag
      ? "a boolean says it by true; remove given"
      : "tell which values say it, as in given: [granted]";
    report(path, `${mend}.`);
  }
}
