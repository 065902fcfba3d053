import { UserError } from "../domain/errors.ts";
import { rawTableName, type Stream } from "../domain/streams.ts";
import type { Findings } from "./findings.ts";
import type { LoadedStream, SourceBlock } from "./sources.ts";
import { typesOf } from "./stream-schema.ts";
import { hint } from "./suggest.ts";
import type { Path } from "./yaml-file.ts";

/** Postgres cuts names at 63 bytes; `__history` takes nine. */
const RAW_NAME_BYTES = 54;

const TIME_FORMATS = ["date", "date-time"];

/** Checks that the fields which a stream's declaration names are in its schema and fit their use. */
export function checkStream(stream: Stream, path: Path, findings: Findings): void {
  const raw = rawTableName(stream.source, stream.name);
  if (raw.length > RAW_NAME_BYTES) {
    const mend = "shorten the source's or the stream's name";
    findings.report(path, `${raw} has ${raw.length} characters, and ${RAW_NAME_BYTES} fit; ${mend}.`);
  }
  const names = Object.keys(stream.schema.properties);
  const field = (name: string | null, at: Path) => {
    if (name === null) return undefined;
    if (names.includes(name)) return stream.schema.properties[name];
    const unknown = `${JSON.stringify(name)} is no field of ${stream.schemaFile}`;
    findings.report([...path, ...at], `${unknown}${hint(name, names, "its fields are")}`);
    return undefined;
  };
  stream.key?.forEach((name, index) => field(name, ["key", index]));
  field(stream.cursor, ["cursor"]);
  const version = field(stream.version, ["version"]);
  if (version) {
    const [type, ...others] = typesOf(version);
    const isOrdered =
      type === "integer" || type === "number" || (type === "string" && TIME_FORMATS.includes(version.format ?? ""));
    if (!isOrdered || others.length) {
      const mend = "name one of these, or leave version out";
      findings.report(
        [...path, "version"],
        `${JSON.stringify(stream.version)} is no integer, number, date or date-time; ${mend}.`,
      );
    }
  }
  const window = field(stream.window, ["window"]);
  if (window && !TIME_FORMATS.includes(window.format ?? "")) {
    findings.report(
      [...path, "window"],
      `${JSON.stringify(stream.window)} is no date or date-time; name one of these, or leave window out.`,
    );
  }
  if (stream.mode === "upsert" && stream.key === null && findings.isSound([...path, "key"])) {
    findings.report(path, 'mode upsert needs a key; add it, as in key: [id], or choose "append" or "snapshot".');
  }
}

/** Checks that each reference of a schema reaches a stream, by as many fields as that stream's key has. */
export function checkReferences(loaded: LoadedStream[], blocks: Record<string, SourceBlock>): UserError[] {
  const keys = new Map(loaded.map(({ stream }) => [`${stream.source}.${stream.name}`, stream.key]));
  const declared = Object.entries(blocks).flatMap(([source, block]) =>
    Object.keys(block?.streams ?? {}).map((stream) => `${source}.${stream}`),
  );
  return loaded.flatMap(({ stream, schemaFile }) =>
    (stream.schema.references ?? []).flatMap((reference, index) => {
      const target = reference.stream.includes(".") ? reference.stream : `${stream.source}.${reference.stream}`;
      const report = (step: string, message: string) => [
        new UserError(message, schemaFile.file.place(["references", index, step])),
      ];
      if (!declared.includes(target)) {
        const near = declared.map((name) =>
          name.startsWith(`${stream.source}.`) ? name.slice(stream.source.length + 1) : name,
        );
        return report(
          "stream",
          `there is no stream ${JSON.stringify(reference.stream)}${hint(reference.stream, near, "there are")}`,
        );
      }
      const key = keys.get(target);
      // A parent that could not be read has been told.
      if (key === undefined) return [];
      if (key === null)
        return report("stream", `${reference.stream} has no key to refer to; give it a key in miette.yaml.`);
      const fields = [reference.field].flat();
      if (fields.length === key.length) return [];
      const mend = `name the fields that hold ${key.join(", ")}, in this order`;
      return report(
        "field",
        `has ${fields.length} of the ${key.length} fields of the key of ${reference.stream}; ${mend}.`,
      );
    }),
  );
}
