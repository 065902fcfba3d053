import type { Notify, SmtpChannel } from "../domain/project.ts";
import type { Findings } from "./findings.ts";

export interface NotifyBlock {
  webhook?: string | { url: string; secret?: string };
  smtp?: {
    host: string;
    port?: number;
    tls?: SmtpChannel["tls"];
    user?: string;
    password?: string;
    from: string;
    to: string[];
  };
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

export function readNotify({ webhook, smtp }: NotifyBlock, findings: Findings): Notify {
  if (smtp?.tls === "none" && !LOOPBACK.test(smtp.host)) {
    const mend = "write starttls or implicit";
    findings.report(["notify", "smtp", "tls"], `mails to another machine must not travel in the open; ${mend}.`);
  }
  return {
    webhook:
      webhook === undefined ? null : { secret: null, ...(typeof webhook === "string" ? { url: webhook } : webhook) },
    smtp: smtp === undefined ? null : smtpChannel(smtp),
  };
}

function smtpChannel({ host, tls = "starttls", port, user, password, from, to }: NonNullable<NotifyBlock["smtp"]>) {
  return {
    host,
    port: port ?? (tls === "implicit" ? 465 : 587),
    tls,
    user: user ?? null,
    password: password ?? null,
    from,
    to,
  };
}
