import { readFile } from "node:fs/promises";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { type Place, UserError, UserErrors } from "../domain/errors.ts";
import { decodeUtf8, displayPath } from "./sql-tree.ts";

/** The way to a value in a YAML file: keys and positions. */
export type Path = readonly (string | number)[];

/** A YAML file as data that still knows where each value stands. */
export interface YamlFile {
  displayFile: string;
  data: unknown;
  /** File, line and key of a value; of its nearest parent's line where there is no such value. */
  place(path: Path): Place;
}

/** Reads a YAML 1.2 file. Throws UserErrors where it is no UTF-8 or no YAML, and Node's own error where it can't be read. */
export async function readYamlFile(file: string): Promise<YamlFile> {
  const displayFile = displayPath(file);
  let text: string;
  try {
    text = decodeUtf8(await readFile(file));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UserErrors([new UserError("the file is not UTF-8; save it as UTF-8.", { file: displayFile })]);
  }
  return parseYaml(text, displayFile);
}

/** Parses YAML 1.2. Throws UserErrors, one for each flaw of syntax, unknown tag, or alias that would explode. */
export function parseYaml(text: string, displayFile: string): YamlFile {
  const lines = new LineCounter();
  // Pretty errors would quote the lines around the flaw, which may hold secrets.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const line = (offset: number) => lines.linePos(offset).line;
  const flaws = [...document.errors, ...document.warnings].map(
    (flaw) =>
      new UserError(`is not valid YAML: ${flaw.code.toLowerCase().replaceAll("_", " ")}; mend this line.`, {
        file: displayFile,
        line: line(flaw.pos[0]),
      }),
  );
  if (flaws.length) throw new UserErrors(flaws);
  let data: unknown;
  try {
    data = document.toJS();
  } catch {
    // The library refuses more than 100 expansions of aliases, the way to make a small file fill the memory.
    throw new UserErrors([
      new UserError("has aliases that expand too far; write the values out.", { file: displayFile }),
    ]);
  }
  return {
    displayFile,
    data,
    place(path) {
      const offset = offsetOf(document, path);
      return {
        file: displayFile,
        ...(offset === null ? {} : { line: line(offset) }),
        ...(path.length ? { key: formatPath(path) } : {}),
      };
    },
  };
}

/** `sources.shop.streams.orders.key[0]` */
export function formatPath(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index ? `.${step}` : step)).join("");
}

/** Where the key of the value stands, or the item of a list; the deepest that is there. */
function offsetOf(document: Document, path: Path): number | null {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0] ?? null;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
      if (!pair) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (!item) break;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset;
}

/** Whether a value is a mapping. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
