import { PATH_PROPERTY } from "../files/spec.ts";

export interface CsvConfig {
  path: string;
  format?: "delimited" | "whitespace";
  delimiter?: string;
  quote?: string;
  header?: boolean;
  columns?: string[];
  encoding?: string;
}

export const spec = {
  type: "object",
  required: ["path"],
  additionalProperties: false,
  properties: {
    path: PATH_PROPERTY,
    format: {
      description:
        "delimited: fields stand between delimiters and may be quoted. whitespace: columns stand between any number of spaces or tabs, without quotes.",
      enum: ["delimited", "whitespace"],
      default: "delimited",
    },
    delimiter: {
      description: "The character between two fields; \\t is a tab.",
      type: "string",
      pattern: "^(?:[^\\r\\n]|\\\\t)$",
      default: ",",
      examples: [";"],
    },
    quote: {
      description:
        "The character around fields that hold delimiters, quotes (doubled) or line ends; empty where nothing is quoted.",
      type: "string",
      pattern: "^[^\\r\\n]?$",
      default: '"',
      examples: ["'"],
    },
    header: {
      description:
        "Whether the first line of every file names the columns. Where it is left out: yes, unless the config has columns. With both, the line is read past.",
      type: "boolean",
      examples: [false],
    },
    columns: {
      description: "Names of the columns, in the order of the file, for files whose first line does not name them.",
      type: "array",
      items: { type: "string", minLength: 1 },
      minItems: 1,
      uniqueItems: true,
      examples: [["customer_id", "date", "amount"]],
    },
    encoding: {
      description:
        "The encoding of the text, such as latin1, windows-1252, utf-16le or shift_jis. Where it is left out: UTF-8, or UTF-16 where a byte order mark says so.",
      type: "string",
      minLength: 1,
      examples: ["windows-1252"],
    },
  },
} as const;
