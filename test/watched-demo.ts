import { createWriteStream } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { parse, stringify } from "yaml";
import { PACKAGE_DIRECTORY } from "../config.ts";
import type { Page, Source } from "../connectors/connector.ts";
import { jsonl } from "../connectors/jsonl/source.ts";
import { freePort } from "../stack/ports.ts";
import { attachStack } from "../stack/stack.ts";
import type { StreamSchema } from "../domain/streams.ts";
import { openPool } from "../warehouse/database.ts";
import { openDemo } from "./demo.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { makeSuiteFolder } from "./servers.ts";

/** A person whom nothing else in the demo resembles. */
export const CANARY = {
  email: "canary-7f3a@victim.test",
  phone: "+4915199990001",
  full_name: "Zzyzx Canaryson",
  street: "Canary Row 7f3a",
  device_id: "dev-canary-7f3a",
  nickname: "undeclared-7f3a",
};

/** A connector that breaks off with all that it has read in its message, as Postgres quotes values in its errors. */
const torn: Source<never> = {
  ...(jsonl as Source<never>),
  async *read(...parameters): AsyncIterable<Page> {
    for await (const page of jsonl.read(...(parameters as Parameters<typeof jsonl.read>))) {
      const records = Object.values(page.records).flat();
      if (records.length > 0) throw new Error(`invalid input syntax for type integer: ${JSON.stringify(records)}`);
      yield page;
    }
  },
};

const PEOPLE = {
  type: "object",
  required: ["id", "age"],
  properties: {
    id: { type: "string", personal: "account_id", identifier: "crm_id" },
    email: { type: "string", personal: "email", identifier: "email", keep: ["domain"] },
    phone: { type: "string", personal: "phone", identifier: "phone" },
    full_name: { type: "string", personal: "name" },
    street: { type: "string", personal: "address" },
    device_id: { type: "string", personal: "device_id", identifier: "device_id" },
    referrer: { type: "string" },
    notes: { type: "object" },
    age: { type: "integer" },
  },
};
const STAGING = `-- One row per customer of the call centre.
-- contract: customers
select
    record_key,
    deleted_at,
    id                as customer_ref,
    email             as email_token,
    phone             as phone_token,
    null::text        as country,
    null::integer     as birth_year,
    null::timestamptz as registered_at
from raw.crm__people
`;

/**
 * The demo on servers of its own, as an installation has them, with a canary in one more source and a source that breaks
 * off (`torn`, once it has a file). Its worker writes its log, at every level, among the logs of the home.
 */
export async function openWatchedDemo(): Promise<
  Awaited<ReturnType<typeof openDemo>> & {
    home: string;
    /** Gives the source that breaks off something to read. */
    tear(): Promise<void>;
    /** The demo once more, in a warehouse beside, by schemas without a label. */
    openUnsealed(): Promise<Pipeline>;
  }
> {
  const folder = await makeSuiteFolder();
  const [home, project] = [join(folder, "home"), join(folder, "project")];
  const stack = await attachStack(
    {
      home,
      postgresPort: await freePort(),
      temporalPort: await freePort(),
      uiPort: await freePort(),
      databaseUrl: null,
      temporalAddress: null,
    },
    () => undefined,
  );
  await writeProject(project);
  const lines = createWriteStream(join(home, "logs", "worker.log"));
  const servers = {
    postgresUrl: stack.superuserUrl!.replace(/\/postgres$/, ""),
    temporalAddress: stack.temporalAddress,
  };
  const demo = await openDemo(project, { log: pino({ level: "trace" }, lines), servers, connectors: { torn } });
  await logStatements(demo.pipeline.databaseUrl);
  return {
    ...demo,
    home,
    async openUnsealed() {
      const unsealed = join(folder, "unsealed");
      await cp(project, unsealed, { recursive: true });
      const shop = join(unsealed, "schemas/shop");
      for (const name of await readdir(shop)) await removeLabels(join(shop, name));
      return await openPipeline(unsealed, demo.environment, undefined, { servers, connectors: { torn } });
    },
    tear: () => writeFile(join(project, "torn.jsonl"), `${JSON.stringify({ id: "t-7f3a", ...CANARY, age: 1 })}\n`),
    async close() {
      await demo.close();
      lines.end();
      await stack.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** As a careless administrator would have it: every statement with all its values, and every error, in the server's log. */
async function logStatements(url: string): Promise<void> {
  const pool = openPool(url, { max: 1, name: "test" });
  for (const setting of [
    "log_statement = 'all'",
    "log_parameter_max_length = -1",
    "log_parameter_max_length_on_error = -1",
    "log_min_messages = 'debug1'",
    "log_min_error_statement = 'debug1'",
    "log_error_verbosity = 'verbose'",
  ]) {
    await pool.query(`alter database ${new URL(url).pathname.slice(1)} set ${setting}`);
  }
  await pool.end();
}

async function removeLabels(file: string): Promise<void> {
  const { match_keys: _keys, ...schema } = parse(await readFile(file, "utf8")) as StreamSchema & {
    match_keys?: unknown;
  };
  for (const field of Object.values(schema.properties)) {
    for (const label of ["personal", "identifier", "keep"] as const) delete field[label];
  }
  await writeFile(file, stringify(schema));
}

async function writeProject(project: string): Promise<void> {
  const demo = join(PACKAGE_DIRECTORY, "demo");
  for (const part of ["schemas", "sql"]) await cp(join(demo, part), join(project, part), { recursive: true });
  const declared = parse(await readFile(join(demo, "miette.yaml"), "utf8")) as { sources: Record<string, unknown> };
  const people = { mode: "upsert", key: ["id"], schema: "schemas/people.yaml" };
  declared.sources["crm"] = {
    connector: "jsonl",
    config: { path: "crm.jsonl" },
    streams: { people: { ...people, reject_limit: 1 } },
  };
  declared.sources["torn"] = { connector: "torn", config: { path: "torn.jsonl" }, streams: { people } };
  await writeFile(join(project, "miette.yaml"), stringify(declared));
  await writeFile(join(project, "schemas/people.yaml"), stringify(PEOPLE));
  await writeFile(join(project, "sql/models/staging/crm__people.sql"), STAGING);
  await mkdir(join(project, "logs"), { recursive: true });
  const { email, phone } = CANARY;
  const twice = encodeURIComponent(encodeURIComponent(`/in?m=${email}`));
  const records = [
    {
      id: "c-7f3a",
      ...CANARY,
      referrer: `https://shop.example/?mail=${encodeURIComponent(email)}&t=${encodeURIComponent(phone)}&next=${twice}`,
      notes: { [email]: [`call ${phone}`], raw: JSON.stringify({ email }) },
      age: 40,
    },
    // Break their schema with an address where a number is due, and as a whole.
    { id: "e-7f3a", ...CANARY, age: email },
    { id: email, full_name: CANARY.full_name },
  ];
  await writeFile(join(project, "crm.jsonl"), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  await writeFile(join(project, "torn.jsonl"), "");
}
