import { isMap, type YAMLMap } from "yaml";

/** A mapping that is written over several lines, so that lines can be put behind its last one. */
export function isBlock(node: unknown): node is YAMLMap {
  return isMap(node) && !node.flow && node.items.length > 0;
}

/** The text with lines put in behind the last value of a block mapping, indented as its keys are. */
export function insertAfter(text: string, map: YAMLMap, lines: string[]): string {
  const start = rangeStart(map);
  const indent = " ".repeat(start - (text.lastIndexOf("\n", start - 1) + 1));
  const lineEnd = text.indexOf("\n", contentEnd(map));
  const before = lineEnd < 0 ? `${text}\n` : text.slice(0, lineEnd + 1);
  return `${before}${lines.map((line) => `${indent}${line}\n`).join("")}${lineEnd < 0 ? "" : text.slice(lineEnd + 1)}`;
}

/** Where the last value ends; a block's own range reaches over the comments that follow it. */
function contentEnd(map: YAMLMap): number {
  const last = map.items.at(-1);
  const value = last?.value;
  if (isBlock(value)) return contentEnd(value);
  const node = (value ?? last?.key) as { range?: [number, number, number] | null } | null | undefined;
  return node?.range?.[1] ?? rangeStart(map);
}

function rangeStart(map: YAMLMap): number {
  return map.range?.[0] ?? 0;
}
