/** The keys of a config that every connector for files has. */
export const PATH_PROPERTY = {
  description:
    "The file, or a pattern that matches all files of the stream (*, **, ?, [...], {...}), from the project's folder. Files packed with gzip are recognised by their content.",
  type: "string",
  minLength: 1,
  examples: ["exports/orders-*.csv.gz"],
} as const;
