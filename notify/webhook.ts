import { Webhook } from "standardwebhooks";
import { alertText, alertTitle, type AlertMessage } from "../domain/alerts.ts";
import { CodedError } from "../domain/errors.ts";
import type { WebhookChannel } from "../domain/project.ts";

const PATIENCE_MS = 10_000;
/** Answers that say "later": timeout, too early, too many requests, and whatever is wrong at the other end. */
const LATER = new Set([408, 425, 429]);

/**
 * POSTs a message as JSON, with the headers of Standard Webhooks; without a secret it goes unsigned. A redirect is not followed, since it could lead the
 * message anywhere.
 * @throws CodedError `notification_failed`, retryable unless the receiver refuses the message for good
 */
export async function sendWebhook({ url, secret }: WebhookChannel, message: AlertMessage): Promise<void> {
  const body = JSON.stringify({
    type: `alert.${message.state}`,
    timestamp: message.since,
    data: { ...message, title: alertTitle(message), text: alertText(message) },
  });
  const now = new Date();
  const status = await postJson(url, body, {
    "webhook-id": message.id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    ...(secret !== null && { "webhook-signature": new Webhook(secret).sign(message.id, now, body) }),
  });
  if (status >= 200 && status < 300) return;
  throw new CodedError("notification_failed", `the webhook of notify answered with status ${status}`, {
    retryable: status >= 500 || LATER.has(status),
  });
}

/**
 * POSTs JSON. A redirect is not followed.
 * @returns the answer's status. @throws CodedError `notification_failed` where nobody answers
 */
export async function postJson(url: string, body: string, headers: Record<string, string>): Promise<number> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await response.body?.cancel();
    return response.status;
  } catch (cause) {
    // The URL may hold a token, so it is not told.
    throw new CodedError("notification_failed", "a webhook can't be reached", { retryable: true, cause });
  }
}
