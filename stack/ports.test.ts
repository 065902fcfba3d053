import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { freePort, requireFreePort } from "./ports.ts";

test("a port that the system has lent to an outgoing connection is waited for", async () => {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port: served } = server.address() as AddressInfo;
  const outgoing = connect(served, "127.0.0.1");
  await once(outgoing, "connect");

  let isFree = false;
  const waiting = requireFreePort(outgoing.localPort!, "MIETTE_PG_PORT", "Postgres").then(() => (isFree = true));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(isFree).toBe(false);
  outgoing.resetAndDestroy();
  await waiting;
  expect(isFree).toBe(true);

  const message = `port ${served} for Postgres is taken by another program; set MIETTE_PG_PORT to a free one.`;
  await expect(requireFreePort(served, "MIETTE_PG_PORT", "Postgres")).rejects.toThrow(message);
});

test("a free port is one that can be opened, and none that the system lends to others", async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
  for (const port of ports) {
    const server = createServer().listen(port, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    // Linux lends from 32,768 on, others from 49,152.
    expect(port).toBeLessThan(32_768);
  }
});
