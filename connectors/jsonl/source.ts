import { DecimalText } from "../../domain/decimal.ts";
import { parseJson } from "../../domain/json.ts";
import type { ReadStream, Source, SourceRecord } from "../connector.ts";
import { discoverFiles } from "../files/discover.ts";
import { LineParser } from "../files/lines.ts";
import type { Sink } from "../files/parser.ts";
import { joinFiles, readFiles, splitFiles, type Files } from "../files/read.ts";
import { spec, type JsonlConfig } from "./spec.ts";

/**
 * One JSON object per line in files, gzip or not, in UTF-8. A line that is no JSON object is rejected as `invalid_json`;
 * reading goes on. Numbers keep every digit: what a double can't hold comes as DecimalText.
 */
export const jsonl: Source<JsonlConfig> = {
  spec,
  values: "json",
  cursorScope: "stream",
  isParsing: true,
  discover: (config, options) => discoverFiles(filesOf(config), "json", options),
  read: async function* (config, streams, cursor, options) {
    yield* readFiles(filesOf(config), streams[0] as ReadStream, cursor, options);
  },
  shares: { split: ({ path }, _stream, cursor, options) => splitFiles(path, cursor, options), join: joinFiles },
};

function filesOf({ path }: JsonlConfig): Files {
  return {
    path,
    encoding: null,
    createParser: (_fileName, sink) => new LineParser(sink, (line, number) => takeLine(sink, line, number)),
  };
}

function takeLine(sink: Sink, line: string, number: number): void {
  const record = parseRecord(line);
  if (record === null) sink.reject("invalid_json", number, line);
  else sink.record(record, line.length);
}

function parseRecord(line: string): SourceRecord | null {
  try {
    const value = parseJson(line);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && !(value instanceof DecimalText) ? (value as SourceRecord) : null;
  } catch {
    // Also what is nested too deep for the stack. The error's own message quotes the line.
    return null;
  }
}
