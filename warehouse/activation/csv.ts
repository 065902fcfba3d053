import { csvLine } from "../../domain/csv-line.ts";
import type { AudienceMember } from "./audience.ts";

/** An audience as CSV: the pseudonym, then a column for each kind of identifier, with several values parted by semicolons. */
export async function* audienceCsv(batches: AsyncIterable<AudienceMember[]>, fields: string[]): AsyncGenerator<string> {
  yield csvLine(["pseudonym", ...fields]);
  for await (const members of batches) {
    const lines = members.map(({ pseudonym, identifiers }) =>
      csvLine([pseudonym, ...fields.map((kind) => (identifiers[kind] ?? []).join(";"))]),
    );
    yield lines.join("");
  }
}
