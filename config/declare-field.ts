import { rename, readFile, stat, writeFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";
import { flowScalar, flowYaml } from "./flow-yaml.ts";
import { insertAfter, isBlock } from "./yaml-lines.ts";

/**
 * Adds a field to the schema of a stream, in a line behind the other fields; comments and layout stay. A field that is
 * there already stays as it is.
 * @param file path of the schema
 * @returns whether the file was changed
 */
export async function declareField(file: string, field: string, schema: object): Promise<boolean> {
  const text = await readFile(file, "utf8");
  const document = parseDocument(text);
  if (document.hasIn(["properties", field])) return false;
  document.setIn(["properties", field], document.createNode(schema, { flow: true }));
  const rewritten = document.toString({ lineWidth: 0, flowCollectionPadding: true });
  const properties = parseDocument(text).get("properties", true);
  const inserted = isBlock(properties)
    ? insertAfter(text, properties, [`${flowScalar(field)}: ${flowYaml(schema)}`])
    : null;
  // A line put between others is right only if the text reads as the rewritten document does.
  const isRight = inserted !== null && isDeepStrictEqual(readYaml(inserted), readYaml(rewritten));
  // Written beside and moved, so that nobody reads half a schema.
  const draft = `${file}.${process.pid}.draft`;
  await writeFile(draft, isRight ? inserted : rewritten, { mode: (await stat(file)).mode });
  await rename(draft, file);
  return true;
}

function readYaml(text: string): unknown {
  const document = parseDocument(text);
  return document.errors.length ? null : document.toJS();
}
