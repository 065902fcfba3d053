import { once } from "node:events";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SealingCodec } from "../privacy/payload-codec.ts";
import { createCodecServer } from "./codec-server.ts";

const ORIGIN = "http://127.0.0.1:8233";
const CANARY = "canary-7f3a@victim.test";
const key = Buffer.alloc(32, 5);
const codec = new SealingCodec({
  current: async () => ({ id: "1", key }),
  find: async (id) => (id === "1" ? key : null),
});
const lines: string[] = [];
const { server, loginPath } = createCodecServer({ codec, origin: ORIGIN, log: (line) => lines.push(line) });
let base: string;
let cookie: string;
let body: string;
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [sealed] = await codec.encode([
    { metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from(JSON.stringify(CANARY)) },
  ]);
  const metadata = Object.entries(sealed?.metadata ?? {}).map(([name, value]) => [
    name,
    Buffer.from(value).toString("base64"),
  ]);
  const data = Buffer.from(sealed?.data ?? []).toString("base64");
  body = JSON.stringify({ payloads: [{ metadata: Object.fromEntries(metadata) as unknown, data }] });
});
afterAll(() => void server.close());

const decode = (headers: Record<string, string>, sent = body, path = "/decode"): Promise<Response> =>
  fetch(`${base}${path}`, { method: "POST", headers: { "x-namespace": "default", ...headers }, body: sent });

test("a browser is signed in once, by a link that then is worth nothing", async () => {
  expect((await decode({ origin: ORIGIN })).status).toBe(401);
  const wrong = await fetch(`${base}/login/${"0".repeat(64)}`, { redirect: "manual" });
  expect(wrong.headers.get("set-cookie")).toBeNull();
  const signedIn = await fetch(`${base}${loginPath}`, { redirect: "manual" });
  expect(signedIn.headers.get("location")).toBe(ORIGIN);
  const set = signedIn.headers.get("set-cookie") ?? "";
  expect(set).toMatch(/^miette_codec=[0-9a-f]{64}; HttpOnly; SameSite=Strict; Path=\/$/);
  cookie = set.split(";")[0] as string;
  expect((await fetch(`${base}${loginPath}`, { redirect: "manual" })).headers.get("set-cookie")).toBeNull();
});

test("a signed-in browser sees what is sealed, on the web interface's page and on no other", async () => {
  const response = await decode({ origin: ORIGIN, cookie });
  expect(response.status).toBe(200);
  expect(response.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  expect(response.headers.get("access-control-allow-credentials")).toBe("true");
  const { payloads } = (await response.json()) as { payloads: { data: string }[] };
  expect(Buffer.from(payloads[0]?.data ?? "", "base64").toString()).toBe(JSON.stringify(CANARY));
  for (const origin of ["http://evil.example", "http://127.0.0.1:8234", "null", ""]) {
    const refused = await decode({ cookie, ...(origin ? { origin } : {}) });
    expect(refused.status, origin).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    expect(await refused.text()).toBe("");
  }
  const preflight = await fetch(`${base}/decode`, { method: "OPTIONS", headers: { origin: ORIGIN } });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-headers")).toBe("content-type, x-namespace");
});

test("a page that only pretends to be this host is not answered", async () => {
  const { port } = server.address() as AddressInfo;
  const status = await new Promise((resolve, reject) => {
    const request = httpRequest({
      port,
      method: "POST",
      path: "/decode",
      headers: { host: "evil.example", origin: ORIGIN, cookie },
    });
    request
      .on("response", (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end(body);
  });
  expect(status).toBe(421);
});

test("what is no request of the interface's is refused without a word, and the log holds counts alone", async () => {
  const signed = { origin: ORIGIN, cookie };
  expect((await decode(signed, "{")).status).toBe(400);
  expect((await decode(signed, "x".repeat((8 << 20) + 1))).status).toBe(413);
  expect((await decode(signed, body, "/admin")).status).toBe(404);
  const altered = body.replace(/"data":"(.{40})./, '"data":"$1A');
  const refused = await decode(signed, altered);
  expect([refused.status, await refused.text()]).toEqual([422, ""]);
  await decode({ ...signed, "x-namespace": "a b;c" });
  expect(lines).toContain("decode 1 payloads of default");
  expect(lines.join("\n")).not.toMatch(/canary|a b/);
});
