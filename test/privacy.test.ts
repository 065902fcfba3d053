import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Writable } from "node:stream";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { KeyRotationReport } from "../domain/runs.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import { dataConverter } from "../warehouse/data-converter.ts";
import { quoteName } from "../warehouse/database.ts";
import { exportRelation } from "../warehouse/export-relation.ts";
import { listQuarantine } from "../warehouse/landing/quarantine.ts";
import { keyStatus } from "../warehouse/rotation.ts";
import { recordOpening, requireCustomer, revealCustomer, tokensOf } from "../warehouse/reveal.ts";
import { Vault } from "../warehouse/vault.ts";
import { testKeys } from "./landing.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { dumpTables, findValues, payloadsIn } from "./plaintext.ts";

/** Strings that nothing else in the cluster holds. */
const mark = randomBytes(4).toString("hex");
const CANARY = {
  email: `canary-${mark}@victim.test`,
  phone: "+4915199990001",
  name: `Zzyzx Canaryson ${mark}`,
  street: `Canary Row ${mark}`,
  secret: `undeclared-${mark}`,
  iban: "DE89370400440532013000",
};
const CONTROL = { email: `control-${mark}@mail.example`, name: `Control ${mark}` };

let directory: string;
let pipeline: Pipeline;

async function writeProject(folder: string, nameField: string): Promise<void> {
  for (const part of ["schemas", "data", "sql/models/staging"]) await mkdir(join(folder, part), { recursive: true });
  await writeFile(
    join(folder, "miette.yaml"),
    `name: canary
currency: EUR
time_zone: Europe/Paris
default_country: DE
sources:
  shop:
    connector: jsonl
    config: { path: data/people.jsonl }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml, reject_limit: 1 }
`,
  );
  await writeFile(
    join(folder, "schemas/people.yaml"),
    `type: object
required: [id, age]
properties:
  id: { type: string, personal: account_id, identifier: customer_id }
  email: { type: string, personal: email, identifier: email, keep: [domain] }
  phone: { type: string, personal: phone, identifier: phone }
  name: ${nameField}
  street: { type: string, personal: address }
  iban: { type: string, personal: payment, keep: [country] }
  referrer: { type: string }
  age: { type: integer }
`,
  );
  await writeFile(
    join(folder, "sql/models/staging/shop__people.sql"),
    `-- One row per customer.
-- contract: customers
select
  p.record_key,
  p.deleted_at,
  p.id as customer_ref,
  p.email as email_token,
  p.phone as phone_token,
  null::text as country,
  null::integer as birth_year,
  null::timestamptz as registered_at
from raw.shop__people as p
`,
  );
  const url = `https://shop.example/?mail=${encodeURIComponent(CANARY.email)}&call=${encodeURIComponent(CANARY.phone)}`;
  const records = [
    { id: `c-${mark}`, ...CANARY, referrer: url, age: 40 },
    { id: `d-${mark}`, ...CONTROL, age: 41 },
    // Breaks its schema with the canary's e-mail where a number is due.
    { id: `e-${mark}`, ...CANARY, age: CANARY.email },
  ];
  await writeFile(join(folder, "data/people.jsonl"), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-privacy-"));
  await writeProject(directory, "{ type: string, personal: name }");
  pipeline = await openPipeline(directory);
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

/** Tables and catalogues of the warehouse that hold any of the values, in the clear. */
async function findInTables({ pool }: Pipeline, values: string[]): Promise<string[]> {
  const folder = await mkdtemp(join(directory, "tables-"));
  await dumpTables(pool, folder);
  const found = [...(await findValues([folder], values)).values()].flatMap((files) => [...files]);
  return [...new Set(found)].map((file) => basename(file));
}

/** Files of the cluster's data, its write-ahead log and temporary files that hold any of the values. */
async function findOnDisk({ pool }: Pipeline, values: string[]): Promise<string[]> {
  await pool.query("checkpoint");
  const { rows } = await pool.query<{ data_directory: string }>("show data_directory");
  return [...(await findValues([rows[0]?.data_directory as string], values)).values()].flatMap((files) => [...files]);
}

const plain = [CANARY.email, CANARY.name, CANARY.street, CANARY.secret, encodeURIComponent(CANARY.email)];
/** E-mail addresses, phone numbers, tokens, account numbers. */
const CONTACT = "[^ ]@[^ ]+\\.[a-z]{2}|\\+[0-9]{8,}|[a-z]_[0-9a-f]{32}|\\m[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\\M";

test("after everything has run, no plain value of a person is in any table or file of the warehouse", async () => {
  const report = await pipeline.run();
  expect(report.syncs[0]?.streams[0]).toMatchObject({ inserted: 2, rejected: 1 });
  expect(await findInTables(pipeline, plain)).toEqual([]);
  expect(await findOnDisk(pipeline, plain)).toEqual([]);
  const { rows } = await pipeline.pool.query(
    "select referrer, email_domain from raw.shop__people where referrer is not null",
  );
  expect(rows[0].referrer).toMatch(/email_[0-9a-f]{32}.*phone_[0-9a-f]{32}/);
  expect(rows[0].email_domain).toBe("victim.test");
});

test("the same search finds a name that the schema leaves open", async () => {
  const open = await mkdtemp(join(tmpdir(), "miette-open-"));
  await writeProject(open, "{ type: string }");
  const unsealed = await openPipeline(open);
  try {
    await unsealed.sync({ source: "shop" });
    expect(await findInTables(unsealed, [CANARY.name])).toEqual(["raw.shop__people"]);
    expect(await findOnDisk(unsealed, [CANARY.name])).not.toEqual([]);
  } finally {
    await unsealed.close();
    await rm(open, { recursive: true });
  }
});

async function asAnalyst(work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pipeline.pool.connect();
  try {
    await client.query("begin; set local role analyst");
    await work(client);
  } finally {
    await client.query("rollback");
    client.release();
  }
}

test("as analyst, no column and no statistic holds an e-mail address, a phone number, an account number or a token", async () => {
  await pipeline.pool.query("analyze");
  await asAnalyst(async (client) => {
    const { rows: columns } = await client.query<{ schema: string; name: string; column: string }>(
      `select table_schema as schema, table_name as name, column_name as column from information_schema.columns
       where table_schema not in ('pg_catalog', 'information_schema')`,
    );
    expect(columns.length).toBeGreaterThan(50);
    expect(new Set(columns.map(({ schema }) => schema))).toEqual(new Set(["mart", "ops"]));
    for (const { schema, name, column } of columns) {
      const { rowCount } = await client.query(
        `select from ${quoteName(schema, name)} where ${quoteName(column)}::text ~ $1 limit 1`,
        [CONTACT],
      );
      expect(rowCount, `${schema}.${name}.${column}`).toBe(0);
    }
    const { rows: statistics } = await client.query(
      "select * from pg_stats where schemaname not in ('pg_catalog', 'information_schema') and row_to_json(pg_stats)::text ~ $1",
      [CONTACT],
    );
    expect(statistics).toEqual([]);
    const { rows: others } = await client.query(
      "select row_to_json(activity)::text as line from pg_stat_activity as activity",
    );
    for (const { line } of others) expect(line).not.toMatch(/[^ "]@[a-z]+\.[a-z]{2}/);
  });
});

test("as analyst, no error, plan or key tells whether somebody is known", async () => {
  const { naming } = pipeline.vault;
  const probes = (email: string): string[] => {
    const token = naming.token("email", email);
    return [
      `select '${email}'::text::integer from mart.dim_customers`,
      `select email::integer from mart.dim_customers where email = '${email}'`,
      `select 1 / (select count(*) from vault.identifiers where token = '${token}')`,
      `explain analyze select from vault.identifiers where token = '${token}'`,
      `insert into vault.identifiers (token, kind, generation, wrapped_key, sealed) values ('${token}', 'email', 1, '', '')`,
      `insert into mart.dim_customers select * from mart.dim_customers`,
      `update mart.dim_customers set customer_id = customer_id`,
      `select from mart.dim_customers for key share`,
      `create table probe (token text references core.identifiers)`,
      `create temporary table probe (token text references core.identifiers)`,
      `select from raw.shop__people where email = '${token}'`,
      `select from core.identifiers where token = '${token}'`,
      `select from privacy.suppressions where token = '${token}'`,
      `select nextval(pg_get_serial_sequence('vault.identifiers', 'token'))`,
      `lock table vault.identifiers`,
      `prepare transaction '${token}'`,
    ];
  };
  const answers = async (email: string): Promise<string[]> => {
    const all: string[] = [];
    for (const statement of probes(email)) {
      await asAnalyst(async (client) => {
        const error = await client.query(statement).then(
          () => null,
          (cause: unknown) => cause as Error & { code: string; detail?: string },
        );
        const said = error ? `${error.code} ${error.message} ${error.detail ?? ""}` : "no error";
        all.push(said.replaceAll(email, "EMAIL").replaceAll(naming.token("email", email), "TOKEN"));
      });
    }
    return all;
  };
  const known = await answers(CANARY.email);
  expect(await answers(`nobody-${mark}@victim.test`)).toEqual(known);
  // Whatever might look something up for whoever calls it, with its owner's rights.
  await asAnalyst(async (client) => {
    const { rows } = await client.query(
      `select oid::regprocedure::text as name from pg_proc
       where prosecdef and has_schema_privilege(pronamespace, 'usage') and has_function_privilege(oid, 'execute')`,
    );
    expect(rows).toEqual([]);
  });
});

test("a rejected record shows a code and a place: in quarantine, its list and the alert's counts", async () => {
  const { rows } = await pipeline.pool.query(
    "select to_jsonb(q) - 'sealed' - 'tokens' - 'fingerprint' as shown, sealed from ops.quarantine as q",
  );
  expect(rows).toHaveLength(1);
  expect(rows[0].shown).toMatchObject({ source: "shop", stream: "people", reason: "wrong_type", pointer: "/age" });
  expect(await listQuarantine(pipeline.pool)).toMatchObject([{ reason: "wrong_type", pointer: "/age", records: 1 }]);
  const shown = JSON.stringify([rows[0].shown, await listQuarantine(pipeline.pool)]);
  for (const value of Object.values(CANARY)) {
    expect(shown).not.toContain(value);
    expect((rows[0].sealed as Buffer).includes(value)).toBe(false);
  }
});

test("no text of an exported CSV begins a formula, and numbers and phone numbers stay", async () => {
  await pipeline.pool.query(
    `create table mart.cells as select * from (values
       (1, '=HYPERLINK("http://x.example")', -1.5), (2, '@SUM(A1)', 2), (3, E'\\t=1', 3), (4, '-2+3', 4), (5, '+4915199990001', 5), (6, 'a=b', 6)
     ) as cell (n, text, amount)`,
  );
  const chunks: Buffer[] = [];
  const out = new Writable({ write: (chunk: Buffer, _, done) => (chunks.push(chunk), done()) });
  await exportRelation(pipeline.pool, "cells", "csv", out);
  await pipeline.pool.query("drop table mart.cells");
  expect(Buffer.concat(chunks).toString()).toBe(
    `n,text,amount\n1,"'=HYPERLINK(""http://x.example"")",-1.5\n2,'@SUM(A1),2\n3,'\t=1,3\n4,'-2+3,4\n5,+4915199990001,5\n6,a=b,6\n`,
  );
});

async function canaryId(): Promise<string> {
  const token = pipeline.vault.naming.token("email", CANARY.email);
  const { rows } = await pipeline.pool.query<{ customer_id: string }>(
    "select customer_id from core.identifiers where token = $1",
    [token],
  );
  return rows[0]?.customer_id as string;
}

test("a customer is revealed whole, to whoever says what for, and the audit says so without naming the person", async () => {
  const customerId = await canaryId();
  await requireCustomer(pipeline.pool, customerId);
  const line = { actor: "os:anna", action: "reveal", subject: { customerId } };
  await expect(recordOpening(pipeline.pool, { ...line, purpose: "test" })).rejects.toThrow("must say what for");
  await recordOpening(pipeline.pool, { ...line, purpose: `a complaint of ${CANARY.email}` });
  const revealed = await revealCustomer(pipeline.pool, pipeline.vault, customerId);
  expect(revealed.identifiers.map(({ value }) => value).toSorted()).toEqual(
    [CANARY.email, CANARY.phone, `c-${mark}`].toSorted(),
  );
  expect(JSON.stringify(revealed.records)).toContain(CANARY.name);
  expect(JSON.stringify(revealed)).not.toContain(CONTROL.name);
  expect(JSON.stringify(revealed.records)).toContain(CANARY.secret);
  const { rows } = await pipeline.pool.query("select audit::text as line from privacy.audit where action = 'reveal'");
  expect(rows).toHaveLength(1);
  expect(rows[0].line).not.toContain(customerId);
  expect(await findInTables(pipeline, plain)).toEqual([]);
  await expect(requireCustomer(pipeline.pool, "00000000-0000-0000-0000-000000000000")).rejects.toThrow("no customer");
  await expect(requireCustomer(pipeline.pool, "x' or true")).rejects.toThrow("no customer");
});

test("the token of a value is the warehouse's own, however it is written; a value that can't be one is refused unsaid", async () => {
  const project = await pipeline.project();
  const { vault, pool } = pipeline;
  expect(tokensOf(project, vault, "email", ` ${CANARY.email.toUpperCase()} `)).toEqual([
    vault.naming.token("email", CANARY.email),
  ]);
  const [token] = tokensOf(project, vault, "phone", "01519 9990001");
  const { rowCount } = await pool.query("select from raw.shop__people where phone = $1", [token]);
  expect(rowCount).toBe(1);
  expect(() => tokensOf(project, vault, "iban", "x")).toThrow("the schemas declare customer_id, email, phone");
  expect(() => tokensOf(project, vault, "email", CANARY.name)).toThrow(/^email: the value can't be one of this kind$/);
});

test("nobody opens sealed data more than sixty times in an hour, however many at once", async () => {
  const attempts = await Promise.allSettled(
    Array.from({ length: 70 }, () =>
      recordOpening(pipeline.pool, { actor: "os:mallory", action: "token", detail: { kind: "email" } }),
    ),
  );
  expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(60);
  for (const attempt of attempts) {
    if (attempt.status === "rejected") expect(attempt.reason).toMatchObject({ code: "rate_limited" });
  }
});

test("a ciphertext that is moved to another row opens nowhere", async () => {
  const customerId = await canaryId();
  const client = await pipeline.pool.connect();
  try {
    const swap = `update raw.shop__people as a set sealed = b.sealed from raw.shop__people as b where a.record_key <> b.record_key`;
    await client.query(swap);
    await expect(revealCustomer(pipeline.pool, pipeline.vault, customerId)).rejects.toThrow("does not open");
    await client.query(swap);
    expect((await revealCustomer(pipeline.pool, pipeline.vault, customerId)).records).toHaveLength(1);
  } finally {
    client.release();
  }
});

test("a rotation runs as a workflow; afterwards everybody living is opened as before", async () => {
  const before = await revealCustomer(pipeline.pool, pipeline.vault, await canaryId());
  const report = (await pipeline.client.workflow.execute("rotateKeys", {
    workflowId: "keys:rotate",
    taskQueue: TASK_QUEUE,
    args: [{ actor: "test" }],
  })) as KeyRotationReport;
  expect(report).toMatchObject({ generation: 2, destroyed: [1] });
  expect(await keyStatus(pipeline.pool)).toMatchObject([
    { status: "destroyed", keys: 0 },
    { status: "current", keys: report.keys },
  ]);
  const vault = await Vault.open(pipeline.pool, testKeys);
  expect(await revealCustomer(pipeline.pool, vault, await canaryId())).toEqual(before);
});

test("a history whose key is gone opens for nobody, and the next sync goes on from what the warehouse knows", async () => {
  const { pool, client, sync } = pipeline;
  const history = await client.workflow.getHandle("keys:rotate").fetchHistory();
  const sealed = payloadsIn(history).filter(({ metadata }) => metadata?.["encryption-key-id"] !== undefined);
  expect(sealed.length).toBeGreaterThan(0);
  await pool.query("update vault.keys set purpose = 'payload-lost' where purpose = 'payload'");
  const [codec] = dataConverter(pool, await Vault.open(pool, testKeys)).payloadCodecs!;
  await expect(codec!.decode(sealed)).rejects.toThrow(/key/);
  const report = await sync({ source: "shop" });
  expect(report.streams[0]).toMatchObject({ inserted: 0, unchanged: 0 });
});
