import type { ReadStream, Source } from "../connector.ts";
import { InvalidConfig } from "../errors.ts";
import { discoverFiles } from "../files/discover.ts";
import { LineParser } from "../files/lines.ts";
import type { Parser, Sink } from "../files/parser.ts";
import { joinFiles, readFiles, splitFiles, type Files } from "../files/read.ts";
import { Columns } from "./columns.ts";
import { DelimitedParser } from "./parser.ts";
import { spec, type CsvConfig } from "./spec.ts";

/**
 * Delimited text in files, or in columns between white space, gzip or not. A row with too many or too few fields is
 * rejected as `ragged_row`, one with quotes in the wrong place as `bad_quotes`; reading goes on.
 */
export const csv: Source<CsvConfig> = {
  spec,
  values: "text",
  cursorScope: "stream",
  isParsing: true,
  async discover(config, options) {
    const streams = await discoverFiles(filesOf(config, null), "text", options);
    for (const { name, schema } of streams) suggestDelimiter(config, name, Object.keys(schema.properties));
    return streams;
  },
  read: async function* (config, streams, cursor, options) {
    const stream = streams[0] as ReadStream;
    yield* readFiles(filesOf(config, stream), stream, cursor, options);
  },
  shares: { split: ({ path }, _stream, cursor, options) => splitFiles(path, cursor, options), join: joinFiles },
};

/** A header that is one field with another delimiter's signs in it was split by the wrong one. */
function suggestDelimiter(config: CsvConfig, name: string, fields: string[]): void {
  const [only] = fields;
  if (fields.length !== 1 || only === undefined || config.delimiter !== undefined || config.format === "whitespace")
    return;
  const found = [";", "\t", "|"].find((sign) => only.split(sign).length > 2);
  if (!found) return;
  const shown = found === "\t" ? "\\t" : found;
  throw new InvalidConfig(
    `the header of ${name} is one field that holds "${shown}" several times; set delimiter: "${shown}"`,
  );
}

function filesOf(config: CsvConfig, stream: ReadStream | null): Files {
  const delimiter = config.delimiter === "\\t" ? "\t" : (config.delimiter ?? ",");
  const quote = config.quote ?? '"';
  const isWhitespace = config.format === "whitespace";
  if (isWhitespace && (config.delimiter !== undefined || config.quote !== undefined)) {
    throw new InvalidConfig(`format "whitespace" knows no "delimiter" and no "quote"; leave them out`);
  }
  if (delimiter === quote)
    throw new InvalidConfig(`"delimiter" and "quote" are the same character; change one of them`);
  const header = { isPresent: config.header ?? config.columns === undefined, columns: config.columns };
  return {
    path: config.path,
    encoding: config.encoding,
    createParser(fileName: string, sink: Sink): Parser {
      const columns = new Columns(header, fileName, stream, sink);
      if (!isWhitespace) return new DelimitedParser({ delimiter, quote }, columns, sink, fileName);
      return new LineParser(sink, (line, number) =>
        columns.row(line.trim().split(/[ \t]+/), number, line.length, () => line),
      );
    },
  };
}
