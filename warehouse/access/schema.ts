const text = { type: "string" } as const;
const maybe = { type: ["string", "null"] } as const;
const list = (properties: Record<string, unknown>, required = Object.keys(properties)): Record<string, unknown> => ({
  type: "array",
  items: { type: "object", required, properties },
});
const texts = { type: "array", items: text } as const;

/** JSON Schema of an archive's data.json. */
export const ACCESS_SCHEMA = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Everything that is held about one person",
  type: "object",
  required: ["about", "tables"],
  properties: {
    about: {
      type: "object",
      required: [
        "format",
        "request",
        "made_at",
        "identifiers",
        "purposes",
        "sources",
        "recipients",
        "retention",
        "consent",
        "places",
      ],
      properties: {
        format: { const: "miette access 1" },
        request: text,
        kind: { enum: ["access", "portability"] },
        made_at: { type: "string", format: "date-time" },
        identifiers: list({ kind: text, value: text, known_since: maybe }),
        purposes: texts,
        sources: list({ source: text, streams: texts, categories: texts }),
        recipients: list({ recipient: text, audience: text, purpose: text, fields: texts, state: text, at: text }),
        retention: list({ data: text, kept: text }),
        consent: list({ purpose: text, standing: text, allowed: { type: "boolean" }, jurisdiction: maybe }),
        ledger: { type: "array", items: { type: "object" } },
        segments: list({ segment: text, description: text, since: text }),
        derived: list({ relation: text, what: text, made_of: texts }),
        places: list({ relation: text, rows: { type: "integer" }, kind: text }),
      },
    },
    tables: list({
      relation: text,
      rows: list({
        source: { ...maybe, description: "Who sent it; null: it is made of what sources have sent, see about.derived" },
        stream: maybe,
        landedAt: { ...maybe, description: "When it came" },
        isAnothers: {
          type: "boolean",
          description: "The record is another person's: of it only your identifiers are shown",
        },
        fields: { type: "object" },
      }),
    }),
  },
} as const;
