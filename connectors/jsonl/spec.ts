import { PATH_PROPERTY } from "../files/spec.ts";

export interface JsonlConfig {
  path: string;
}

export const spec = {
  type: "object",
  required: ["path"],
  additionalProperties: false,
  properties: { path: { ...PATH_PROPERTY, examples: ["exports/events-*.jsonl.gz"] } },
} as const;
