import { createTransport } from "nodemailer";
import { alertText, alertTitle, type AlertMessage } from "../domain/alerts.ts";
import { CodedError } from "../domain/errors.ts";
import type { SmtpChannel } from "../domain/project.ts";

const PATIENCE_MS = 10_000;

/**
 * Sends a message as a mail. Its Message-ID is the message's own, so that a repetition shows as one mail.
 * @throws CodedError `notification_failed`, retryable unless the server refuses the mail or the credentials for good
 */
export async function sendMail(channel: SmtpChannel, message: AlertMessage): Promise<void> {
  const { host, port, tls, user, password, from, to } = channel;
  const transport = createTransport({
    host,
    port,
    secure: tls === "implicit",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    ...(user === null ? {} : { auth: { user, pass: password ?? "" } }),
    connectionTimeout: PATIENCE_MS,
    greetingTimeout: PATIENCE_MS,
    socketTimeout: PATIENCE_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({
      messageId: `<${message.id}@miette>`,
      from,
      to,
      subject: alertTitle(message),
      text: `${alertText(message)}\n\nsince ${message.since}\n`,
    });
  } catch (cause) {
    const { code = "", responseCode = 0 } = cause as { code?: string; responseCode?: number };
    const why = responseCode ? `answered with ${responseCode}` : `can't be used (${code || "unknown"})`;
    throw new CodedError("notification_failed", `the SMTP server of notify ${why}`, {
      retryable: responseCode < 500 && code !== "EAUTH",
      cause,
    });
  } finally {
    transport.close();
  }
}
