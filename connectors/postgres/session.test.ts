import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext, TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEmptyDatabase, type EmptyDatabase } from "../../test/empty-database.ts";
import type { Page, ReadStream } from "../connector.ts";
import { InvalidConfig, Rejected, Unauthorized, Unavailable } from "../errors.ts";
import { postgres, type PostgresConfig } from "./source.ts";

let database: EmptyDatabase;
beforeAll(async () => {
  database = await createEmptyDatabase();
  await run(`create table orders (id int primary key, note text);
    insert into orders select i, 'note ' || i from generate_series(1, 1000) i;
    create view slow as select i as id, pg_sleep(30)::text as nap from generate_series(1, 10) i;
    create view broken as select 'secret-of-a-customer'::text::int as id;
    create role clerk login password 'clerk'; create table private (id int, salary int); create table hidden (id int);
    grant select (id) on private to clerk`);
});
afterAll(async () => {
  await run("drop owned by clerk; drop role clerk");
  await database.drop();
});

const run = (sql: string) => database.client.query(sql);

function stream(name: string, fields: string[] = []): ReadStream {
  const properties = Object.fromEntries(fields.map((field) => [field, { type: "string" as const }]));
  return { name, key: null, cursor: null, schema: { type: "object", properties } };
}

function urlWith(change: (url: URL) => void): string {
  const url = new URL(database.url);
  change(url);
  return url.href;
}

const CLERK = () => urlWith((url) => void (url.username = url.password = "clerk"));

async function read(
  config: Partial<PostgresConfig>,
  of: ReadStream,
  options: { signal?: AbortSignal; onPage?: () => Promise<unknown> } = {},
): Promise<Page[]> {
  const { signal = new AbortController().signal, onPage } = options;
  const pages: Page[] = [];
  const all = { signal, pageSize: 10, directory: "." };
  for await (const page of postgres.read({ url: database.url, timeout_seconds: 2, ...config }, [of], null, all)) {
    pages.push(page);
    await onPage?.();
  }
  return pages;
}

/** Asserts class and words, and that nothing of what is secret is told, not even by the cause. */
async function expectError(
  reading: Promise<unknown>,
  type: abstract new (...parameters: never[]) => Error,
  message: RegExp,
): Promise<void> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown as Error,
  );
  expect(error).toBeInstanceOf(type);
  expect(error?.message).toMatch(message);
  expect(error?.cause).toBeUndefined();
  for (const secret of ["wrong-password", "secret-of-a-customer"]) {
    expect(`${error?.stack} ${JSON.stringify(error)}`).not.toContain(secret);
  }
}

async function connections(): Promise<number> {
  const { rows } = await database.client.query(
    "select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  return rows[0].n as number;
}

async function expectNoConnection(): Promise<void> {
  for (let attempt = 0; attempt < 40 && (await connections()) > 0; attempt++)
    await new Promise((go) => setTimeout(go, 50));
  expect(await connections()).toBe(0);
}

async function listen(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: string }> {
  const server = createServer(onSocket);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: String((server.address() as AddressInfo).port) };
}

describe("what a person has to mend is told in one sentence", () => {
  it("a wrong password, an unknown user, a database that is not there", async () => {
    await expectError(
      read({ url: urlWith((url) => void (url.password = "wrong-password")) }, stream("orders")),
      Unauthorized,
      /127\.0\.0\.1:\d+.* refuses the credentials/,
    );
    await expectError(
      read({ url: urlWith((url) => void (url.username = "nobody")) }, stream("orders")),
      Unauthorized,
      /refuses the credentials/,
    );
    await expectError(
      read({ url: urlWith((url) => void (url.password = "")) }, stream("orders")),
      Unauthorized,
      /asks for a password|refuses the credentials/,
    );
    await expectError(
      read({ url: urlWith((url) => void (url.pathname = "/absent")) }, stream("orders")),
      InvalidConfig,
      /absent does not exist/,
    );
    await expectError(
      read({ url: "postgres://user:wrong-password@[host" }, stream("orders")),
      InvalidConfig,
      /"url" is no Postgres URL/,
    );
    await expectError(
      read({ url: `${database.url}?sslmode=verify-full&sslrootcert=/absent.pem` }, stream("orders")),
      InvalidConfig,
      /certificate file/,
    );
  });

  it("a table that is gone, and a column", async () => {
    await expectError(read({}, stream("orderz")), Rejected, /table public\.orderz is not in .*miette discover/);
    await expectError(read({ table: "sales.orders" }, stream("orders")), Rejected, /table sales\.orders is not in/);
    await expectError(
      read({}, stream("orders", ["id", "total"])),
      Rejected,
      /public\.orders.* has no column "total".*miette discover/,
    );
    await expectError(read({}, { ...stream("orders"), key: ["ref"] }), Rejected, /no column "ref"/);
  });

  it("a table or column that the user may not read", async () => {
    await expectError(read({ url: CLERK() }, stream("hidden")), Unauthorized, /public\.hidden/);
    await expectError(
      read({ url: CLERK() }, stream("private", ["id", "salary"])),
      Unauthorized,
      /public\.private.*"salary" may not be read/,
    );
    expect(await read({ url: CLERK() }, stream("private", ["id"]))).toEqual([]);
  });

  it("a view that fails over its rows, without the value that it fails over", async () => {
    await expectError(read({}, stream("broken")), Rejected, /public\.broken.*SQLSTATE 22P02/);
  });

  it("a key whose type has no order", async () => {
    await run("create table documents (doc json)");
    await expectError(read({}, { ...stream("documents"), key: ["doc"] }), InvalidConfig, /cannot be sorted by its key/);
  });
});

describe("what the world has to mend is tried again", () => {
  it("a closed port, a host without a name", async () => {
    const { server, port } = await listen(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    await expectError(
      read({ url: urlWith((url) => void (url.port = port)) }, stream("orders")),
      Unavailable,
      /cannot be reached \(ECONNREFUSED\)/,
    );
    await expectError(
      read({ url: urlWith((url) => void (url.hostname = "absent.invalid")) }, stream("orders")),
      Unavailable,
      /absent\.invalid:\d+.*cannot be reached/,
    );
  });

  it("a server that accepts and says nothing", async () => {
    const { server, port } = await listen(() => undefined);
    const url = urlWith((changed) => void Object.assign(changed, { port, password: "" }));
    await expectError(read({ url, timeout_seconds: 1 }, stream("orders")), Unavailable, /did not answer in time/);
    server.close();
  });

  it("a server that falls silent while it is read", async () => {
    const sockets: Socket[] = [];
    const { server, port } = await listen((socket) => {
      const upstream = connect(Number(new URL(database.url).port), "127.0.0.1");
      sockets.push(socket, upstream);
      socket.pipe(upstream).pipe(socket);
    });
    const url = urlWith((changed) => void (changed.port = port));
    const freeze = async () => sockets.forEach((socket) => socket.unpipe().pause());
    await expectError(
      read({ url, timeout_seconds: 1 }, stream("orders"), { onPage: freeze }),
      Unavailable,
      /public\.orders.*did not answer in time/,
    );
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });

  it("a statement that takes too long, a table that is locked", async () => {
    await expectError(read({ timeout_seconds: 1 }, stream("slow")), Unavailable, /public\.slow.*took too long/);
    await run("begin; lock table orders in access exclusive mode");
    await expectError(read({ timeout_seconds: 1 }, stream("orders")), Unavailable, /public\.orders/);
    await run("rollback");
  });

  it("a session that the server ends, as it does when it restarts", async () => {
    const end = () =>
      run(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'miette source' and datname = current_database()",
      );
    await expectError(read({}, stream("orders"), { onPage: end }), Unavailable, /public\.orders/);
  });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
describe.skipIf(!hasOpenssl)("TLS (skipped where openssl, which makes the certificate, is absent)", () => {
  it("is spoken as sslmode says, and a certificate is checked where it says so", async () => {
    const directory = await mkdtemp(join(tmpdir(), "miette-tls-"));
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
    spawnSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject]);
    let encrypted = 0;
    const secureContext = createSecureContext({ key: await readFile(key), cert: await readFile(cert) });
    // The server's side of TLS, with the real server behind it: an SSLRequest is answered by S.
    const { server, port } = await listen((socket) => {
      socket.once("data", () => {
        socket.write("S");
        const secured = new TLSSocket(socket, { isServer: true, secureContext });
        secured.once("secure", () => encrypted++).on("error", () => undefined);
        secured.pipe(connect(Number(new URL(database.url).port), "127.0.0.1")).pipe(secured);
      });
    });
    const secure = (query: string, host = "localhost") =>
      read(
        { url: urlWith((url) => void Object.assign(url, { port, hostname: host, search: query })) },
        stream("orders"),
      );
    expect((await secure("?sslmode=require")).length).toBe(100);
    expect((await secure(`?sslmode=verify-full&sslrootcert=${cert}`)).length).toBe(100);
    expect(encrypted).toBe(2);
    await expectError(
      secure("?sslmode=verify-full"),
      Rejected,
      /certificate that is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    );
    await expectError(secure(`?sslmode=verify-full&sslrootcert=${cert}`, "127.0.0.1"), Rejected, /not trusted/);
    expect((await secure(`?sslmode=verify-ca&sslrootcert=${cert}`, "127.0.0.1")).length).toBe(100);
    await expectError(
      read({ url: `${database.url}?sslmode=require` }, stream("orders")),
      Unavailable,
      /take sslmode out of "url"/,
    );
    server.close();
    await rm(directory, { recursive: true });
  });
});

describe("an end", () => {
  it("by abort is prompt, and leaves neither connection nor statement behind", async () => {
    const controller = new AbortController();
    const reading = read({ timeout_seconds: 60 }, stream("slow"), { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 300);
    await expect(reading).rejects.toThrow("enough");
    await expectNoConnection();
  });

  it("by abort between two pages, or before the first, is the same", async () => {
    const controller = new AbortController();
    const onPage = async () => controller.abort(new Error("enough"));
    await expect(read({}, stream("orders"), { signal: controller.signal, onPage })).rejects.toThrow("enough");
    await expect(read({}, stream("orders"), { signal: controller.signal })).rejects.toThrow("enough");
    await expectNoConnection();
  });

  it("by a reader that stops leaves no connection behind", async () => {
    const options = { signal: new AbortController().signal, pageSize: 10, directory: "." };
    for await (const _ of postgres.read({ url: database.url }, [stream("orders")], null, options)) break;
    await expectNoConnection();
  });

  it("comes without a write: the source is read only", async () => {
    await run(`create table touched (n int); create function touch() returns int language sql as 'insert into touched values (1) returning n';
      create view writing as select touch() as n`);
    await expectError(read({}, stream("writing")), Rejected, /public\.writing.*without writing/);
    expect((await database.client.query("select from touched")).rowCount).toBe(0);
  });
});
