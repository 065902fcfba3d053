import type { Destination } from "../destination.ts";

interface ManualConfig {
  instructions: string;
}

/** Somebody who can only be told by a person: a vendor that has vanished, or who answers letters. */
export const manual: Destination<ManualConfig> = {
  spec: {
    type: "object",
    required: ["instructions"],
    additionalProperties: false,
    properties: {
      instructions: {
        description: "Who has to tell whom, and how: what somebody reads who has it to do.",
        type: "string",
        minLength: 1,
        maxLength: 2000,
        examples: ["Legal writes to dpo@vendor.example, registered."],
      },
    },
  },
  remove: () => Promise.resolve("manual"),
  erase: () => Promise.resolve("manual"),
};
