import { UserError } from "../../domain/errors.ts";
import type { Reading } from "./select.ts";
import { placeAt, type Statement } from "./syntax.ts";

/**
 * The statement's text from the top of its file, with the schema of some relations replaced at the parser's locations
 * and nothing else touched, so that lines stay where they are.
 * @param schemaOf the schema to read a relation from; null leaves it as it stands
 */
export function redirect(
  statement: Statement,
  readings: readonly Reading[],
  schemaOf: (relation: string) => string | null,
): string {
  const { bytes } = statement;
  const parts: Buffer[] = [];
  let end = 0;
  for (const { relation, schema, location } of readings.toSorted((a, b) => a.location - b.location)) {
    const replacement = schemaOf(relation);
    if (replacement === null || location < end) continue;
    const written = /^(?:"(?:[^"]|"")*"|[a-z0-9_]+)/i.exec(bytes.toString("utf8", location, location + 130))?.[0] ?? "";
    if (written.toLowerCase() !== schema && written !== `"${schema}"`) {
      throw new UserError(`write ${relation} plainly, without escapes.`, placeAt(statement, location));
    }
    parts.push(bytes.subarray(end, location), Buffer.from(replacement));
    end = location + Buffer.byteLength(written);
  }
  return Buffer.concat([...parts, bytes.subarray(end)]).toString("utf8");
}
