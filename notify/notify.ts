import type { AlertMessage, Channel } from "../domain/alerts.ts";
import type { Notify } from "../domain/project.ts";
import { sendMail } from "./smtp.ts";
import { sendWebhook } from "./webhook.ts";

/** The channels that a project has, in a fixed order. */
export function channelsOf(notify: Notify): Channel[] {
  return [...(notify.webhook ? ["webhook" as const] : []), ...(notify.smtp ? ["smtp" as const] : [])];
}

/**
 * Tells one channel; a channel that the project no longer has is passed over.
 * @throws CodedError `notification_failed`
 */
export async function notify(channels: Notify, channel: Channel, message: AlertMessage): Promise<void> {
  if (channel === "webhook" && channels.webhook) await sendWebhook(channels.webhook, message);
  if (channel === "smtp" && channels.smtp) await sendMail(channels.smtp, message);
}
