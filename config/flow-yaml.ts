import { stringify } from "yaml";

/** A value as YAML on one line, in the look of the project's own files: `{ type: [string, "null"], keep: [domain] }`. */
export function flowYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flowYaml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([key, item]) => `${flowScalar(key)}: ${flowYaml(item)}`);
    return pairs.length ? `{ ${pairs.join(", ")} }` : "{}";
  }
  return flowScalar(value);
}

/** A scalar that means the same inside of flow brackets, where a comma or a bracket has to be quoted. */
export function flowScalar(value: unknown): string {
  // JSON's strings are YAML too, and keep to one line what YAML would fold.
  if (typeof value === "string" && (/[^\x20-\x7e\u00a1-\ud7ff\ue000-\ufffd]/.test(value) || value.length > 200)) {
    return JSON.stringify(value).replace(/[\u007f-\u00a0\u2028\u2029\ufeff]/g, escape);
  }
  return stringify([value], { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 })
    .trim()
    .slice(1, -1);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
