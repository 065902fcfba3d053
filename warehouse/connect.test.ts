import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, expect, inject, test } from "vitest";
import { connectPatiently } from "./connect.ts";

let server: Server | undefined;
afterEach(() => server?.close());

/** Stands before the real server, and refuses so many connections as one that recovers does. */
async function recovering(refusals: number): Promise<string> {
  const url = new URL(inject("postgresUrl"));
  const [host, port] = [url.hostname, Number(url.port)];
  let connections = 0;
  server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => undefined);
    if (connections <= refusals) {
      const fields = Buffer.from("SFATAL\0VFATAL\0C57P03\0Mthe database system is in recovery mode\0\0");
      const head = Buffer.alloc(5);
      head.write("E");
      head.writeInt32BE(fields.length + 4, 1);
      socket.once("data", () => socket.end(Buffer.concat([head, fields])));
      return;
    }
    const onward = connect(port, host);
    onward.on("error", () => undefined);
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url.port = String((server.address() as AddressInfo).port);
  return url.href;
}

test("a command that begins while the warehouse recovers from a crash waits for it", async () => {
  const client = await connectPatiently(await recovering(3));
  expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await client.end();
});

test("a warehouse that stays in recovery is told as such, in a sentence", async () => {
  await expect(connectPatiently(await recovering(1_000), 500)).rejects.toMatchObject({
    code: "warehouse_unavailable",
    message: "the warehouse is starting or recovering and takes no connections yet; try again in a while",
  });
});
