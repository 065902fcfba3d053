import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";
import { insertAfter, isBlock } from "../config.ts";
import { UserError } from "../domain/errors.ts";
import { type Proposal, streamLines } from "./propose-streams.ts";
import { editorComment } from "./schema-comment.ts";

/** What was written, and what was already there and stayed as it was; paths, and keys of `miette.yaml`. */
export interface Written {
  written: string[];
  kept: string[];
}

/**
 * Writes a proposal into a project. Nothing that is there is overwritten: neither a file, nor a stream's block.
 * Comments and layout of `miette.yaml` stay. Throws UserError where it has no such source.
 */
export async function writeStreams(directory: string, proposal: Proposal): Promise<Written> {
  const result: Written = { written: [], kept: [] };
  await addToProject(join(directory, "miette.yaml"), proposal, result);
  for (const { path, text } of proposal.files) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    const comment = posix.extname(path) === ".yaml" ? editorComment(file, "stream") : "";
    // `wx` refuses a file that is there, also one that another command has just written.
    const isNew = await writeFile(file, comment + text, { flag: "wx" }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return false;
        throw error;
      },
    );
    (isNew ? result.written : result.kept).push(path);
  }
  return result;
}

async function addToProject(file: string, { source, streams }: Proposal, result: Written): Promise<void> {
  const text = await readFile(file, "utf8");
  const sourceNode = parseDocument(text).getIn(["sources", source], true);
  if (!isMap(sourceNode))
    throw new UserError(`there is no source ${JSON.stringify(source)}; declare it first.`, { file, key: "sources" });
  const present = sourceNode.get("streams");
  const known = isMap(present) ? present.items.map(({ key }) => String(isScalar(key) ? key.value : key)) : [];
  const added = Object.fromEntries(Object.entries(streams).filter(([name]) => !known.includes(name)));
  const keyOf = (name: string) => `miette.yaml sources.${source}.streams.${name}`;
  result.kept.push(...known.filter((name) => Object.hasOwn(streams, name)).map(keyOf));
  if (!Object.keys(added).length) return;
  const rewritten = rewriteWith(text, source, added);
  const inserted = insertStreams(text, sourceNode, added);
  // Text put between lines is right only if it reads as the rewritten document does: a block scalar at the end, say, is not.
  const isRight = inserted !== null && isDeepStrictEqual(readYaml(inserted), readYaml(rewritten));
  await writeFile(file, isRight ? inserted : rewritten);
  result.written.push(...Object.keys(added).map(keyOf));
}

/** The text with lines put in behind the last stream, or the source's last key; null where these are written in one line. */
function insertStreams(text: string, source: YAMLMap, added: Record<string, object>): string | null {
  const streams = source.get("streams");
  if (isBlock(streams)) return insertAfter(text, streams, streamLines(added));
  if (!isBlock(source) || source.has("streams")) return null;
  return insertAfter(text, source, ["streams:", ...streamLines(added).map((line) => `  ${line}`)]);
}

/** The data of a document; null where it is none. */
function readYaml(text: string): unknown {
  const document = parseDocument(text);
  return document.errors.length ? null : document.toJS();
}

/** The whole document written anew: comments stay, but spacing becomes the library's. */
function rewriteWith(text: string, source: string, added: Record<string, object>): string {
  const document = parseDocument(text);
  // `streams:` with nothing behind it is null, to which nothing can be added.
  if (!isMap(document.getIn(["sources", source, "streams"], true))) document.deleteIn(["sources", source, "streams"]);
  for (const [name, block] of Object.entries(added)) {
    document.setIn(["sources", source, "streams", name], document.createNode(block, { flow: true }));
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
