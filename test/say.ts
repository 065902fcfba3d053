import { recordSaid, type Said } from "../warehouse/consent/record.ts";
import { inTransaction } from "../warehouse/database.ts";
import type { Pipeline } from "./pipeline.ts";

/** Writes down that somebody says something of their data: unless told otherwise, that marketing is allowed. */
export async function say(
  pipeline: Pick<Pipeline, "pool" | "vault">,
  email: string,
  said: Partial<Said>,
): Promise<void> {
  const whole: Said = {
    choice: "consent",
    isGiven: true,
    purpose: "marketing",
    occurredAt: new Date(),
    source: "cli",
    noticeVersion: null,
    jurisdiction: "EU",
    expiresAt: null,
    ...said,
  };
  const token = pipeline.vault.naming.token("email", email);
  await inTransaction(pipeline.pool, (client) => recordSaid(client, whole, [token], "test"));
}
