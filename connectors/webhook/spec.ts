export interface WebhookConfig {
  url: string;
  secret: string;
  network?: "public" | "private";
  timeout_seconds?: number;
}

export const spec = {
  type: "object",
  required: ["url", "secret"],
  additionalProperties: false,
  properties: {
    url: {
      description: "Where to POST to: https, or http to this machine alone.",
      type: "string",
      format: "uri",
      pattern: "^(?:https://|http://(?:localhost|127(?:\\.[0-9]{1,3}){3}|\\[::1\\])(?:[:/?]|$))",
      patternErrorMessage: "must be an https URL (http only to this machine), as in ${CRM_URL}",
      examples: ["${CRM_URL}"],
    },
    secret: {
      description: "whsec_ and 24 to 64 bytes in base64, by which the receiver knows that a call is genuine.",
      type: "string",
      pattern: "^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
      patternErrorMessage: "must be whsec_ and 24 to 64 bytes in base64, as in ${CRM_SECRET}",
      examples: ["${CRM_SECRET}"],
    },
    network: {
      description:
        "public (the default): a host name that leads into a private network is refused. private: the host stands in one.",
      enum: ["public", "private"],
    },
    timeout_seconds: {
      description: "How long to wait for the answer. 20 by default.",
      type: "integer",
      minimum: 1,
      maximum: 30,
    },
  },
} as const;
