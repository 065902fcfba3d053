import { dirname, join, relative, sep } from "node:path";
import { PACKAGE_DIRECTORY } from "../config.ts";

/** The comment by which editors complete and check a YAML file, with the way from the file to its JSON Schema. */
export function editorComment(file: string, schema: "miette" | "stream"): string {
  const path = relative(dirname(file), join(PACKAGE_DIRECTORY, "schema", `${schema}.schema.json`));
  return `# yaml-language-server: $schema=${path.split(sep).join("/")}\n`;
}
