import { createHmac } from "node:crypto";

const PREFIX = "whsec_";

/**
 * The headers of a signed webhook by the Standard Webhooks specification 1.0.0 (standardwebhooks.com): HMAC-SHA256 over
 * `id.timestamp.body`.
 *
 * @param id the same for every attempt, so that the receiver can drop a repetition
 * @param seconds Unix time of this attempt, by which the receiver refuses what is replayed
 * @param secret base64 after `whsec_`, or null: then the message goes unsigned
 */
export function webhookHeaders(
  id: string,
  seconds: number,
  body: string,
  secret: string | null,
): Record<string, string> {
  const headers = { "webhook-id": id, "webhook-timestamp": String(seconds) };
  if (secret === null) return headers;
  const key = Buffer.from(secret.slice(PREFIX.length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  return { ...headers, "webhook-signature": `v1,${signature}` };
}
