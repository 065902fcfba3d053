import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export const WEBHOOK_SECRET = `whsec_${Buffer.from("a secret of twenty-four!").toString("base64")}`;

export interface WebhookCall {
  key: string;
  text: string;
  type: string;
  members: Record<string, unknown>[];
}

/** What the receiver does with a call: answers with a status (and text), or breaks off in the middle of its answer, or says nothing. */
export type Behaviour = number | { status: number; text: string; headers?: Record<string, string> } | "half" | "silent";

/**
 * A receiver of webhooks on loopback, as one in the field: refuses what is not signed, takes what it has taken already for a
 * repetition, and keeps an audience by its members' ids.
 */
export async function receiveWebhooks(behave: (call: WebhookCall, number: number) => Behaviour = () => 200) {
  const calls: WebhookCall[] = [];
  const audience = new Map<string, Record<string, unknown>>();
  const seen = new Map<string, string>();
  const effects: string[] = [];
  let behaviour = behave;
  const apply = ({ key, type, members, text }: WebhookCall): void => {
    if (seen.has(key)) {
      if (seen.get(key) !== text) throw new Error("the same key with another body");
      return;
    }
    seen.set(key, text);
    effects.push(type);
    for (const member of members) {
      if (type === "audience.deliver") audience.set(String(member["id"]), member);
      else audience.delete(String(member["id"]));
    }
  };
  const answer = (response: ServerResponse, call: WebhookCall): void => {
    const what = behaviour(call, calls.length - 1);
    const status = typeof what === "object" ? what.status : what;
    // What answers too late, or breaks off, has had its effect all the same.
    if (status === "half" || status === "silent" || (typeof status === "number" && status < 300)) apply(call);
    if (status === "silent") return;
    if (status === "half") {
      response.writeHead(200, { "content-length": "1000" });
      response.write('{"stat');
      setTimeout(() => response.destroy(), 20);
      return;
    }
    const { text = "", headers = {} } = typeof what === "object" ? what : {};
    response.writeHead(status, status === 302 ? { location: "/elsewhere" } : headers).end(text);
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      try {
        new Webhook(WEBHOOK_SECRET).verify(text, request.headers as Record<string, string>);
      } catch {
        return void response.writeHead(401).end();
      }
      const { type, data } = JSON.parse(text) as { type: string; data: { members?: Record<string, unknown>[] } };
      const call = { key: String(request.headers["idempotency-key"]), text, type, members: data.members ?? [] };
      calls.push(call);
      answer(response, call);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/crm?token=hunter2`,
    calls,
    audience,
    effects,
    behave: (next: typeof behave) => void (behaviour = next),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
