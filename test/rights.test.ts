import { BlobReader, TextWriter, ZipReader } from "@zip.js/zip.js";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TASK_QUEUE } from "../domain/ids.ts";
import { takeArchive } from "../warehouse/access/store.ts";
import { scopeBreach } from "../warehouse/breach.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { CANARY, CONTROL, shopRows, writeRows } from "./erasure-project.ts";
import type { Pipeline } from "./pipeline.ts";
import { openRights, type Rights } from "./rights-project.ts";

let rights: Rights;
let pipeline: Pipeline;
let directory: string;
let rowsOf: Rights["rowsOf"];
let ask: Rights["ask"];
let customerOf: Rights["customerOf"];
beforeAll(async () => {
  rights = await openRights();
  ({ pipeline, directory, rowsOf, ask, customerOf } = rights);
});
afterAll(() => rights.close());

const segmentsOf = async (customer: string): Promise<string[]> =>
  (
    await rowsOf<{ segment: string }>(
      `select segment from mart.fct_segment_memberships where customer_id = $1 and upper_inf(valid)
         and segment in ('newsletter', 'everybody', 'patients') order by segment`,
      [customer],
    )
  ).map(({ segment }) => segment);

test("who objects, opts out or limits leaves at once the segments that are for it, and comes back when it is lifted", async () => {
  const email = "c101@crowd.test";
  const customer = await customerOf(email);
  expect(await segmentsOf(customer)).toEqual(["everybody", "newsletter", "patients"]);

  const objection = await ask("objection", email, { purposes: ["marketing"] });
  expect(objection.state).toBe("completed");
  expect(await segmentsOf(customer)).toEqual(["everybody", "patients"]);
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, objection.requestId));
  expect(receipt?.statement).toMatchObject({ kind: "objection", purposes: ["marketing"], outcome: "completed" });
  expect(
    await rowsOf("select sealed, scope from privacy.requests where request_id = $1", [objection.requestId]),
  ).toEqual([{ sealed: null, scope: null }]);

  await ask("limit", email);
  expect(await segmentsOf(customer)).toEqual(["everybody"]);
  await ask("objection", email);
  expect(await segmentsOf(customer)).toEqual([]);
  // What is lifted for all stays forbidden nowhere, what is lifted for one purpose everywhere else.
  await ask("limit", email, { isLifted: true });
  await ask("objection", email, { isLifted: true, purposes: ["marketing"] });
  expect(await segmentsOf(customer)).toEqual(["newsletter"]);
  await ask("objection", email, { isLifted: true });
  await ask("opt_out", email);
  expect(await segmentsOf(customer)).toEqual(["everybody", "patients"]);
  expect((await segmentsOf(await customerOf("c102@crowd.test"))).length).toBe(3);
});

test("who is restricted is in no table of the mart while raw stays, money and credit with it, and a release brings all back", async () => {
  const customer = await customerOf(CANARY.email);
  const tables = (
    await rowsOf<{ relation: string }>(
      `select c.oid::regclass::text as relation from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'customer_id'
       where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'v') order by 1`,
    )
  ).map(({ relation }) => relation);
  const held = async () => {
    const counts: Record<string, number> = {};
    for (const relation of tables) {
      const [row] = await rowsOf<{ n: number }>(`select count(*)::int as n from ${relation} where customer_id = $1`, [
        customer,
      ]);
      counts[relation] = row?.n ?? 0;
    }
    return counts;
  };
  const money = () =>
    rowsOf(
      `select model, channel, order_date::text, count(distinct order_id)::int as orders, sum(amount)::text as amount
       from mart.fct_attribution group by 1, 2, 3 order by 1, 2, 3`,
    );
  const raw = () => rowsOf("select count(*)::int as n from raw.shop__orders where customer is not null");
  await rowsOf(`update mart.dim_customer_history set valid = tstzrange('2026-01-01', null) where customer_id = $1`, [
    customer,
  ]);
  const [before, moneyBefore, rawBefore] = [await held(), await money(), await raw()];
  expect(before).toMatchObject({ "mart.dim_customers": 1, "mart.fct_orders": 3, "mart.dim_customer_history": 1 });
  const history = () => rowsOf("select valid::text from mart.dim_customer_history where customer_id = $1", [customer]);
  const historyBefore = await history();
  const memberships = () =>
    rowsOf("select segment, lower(valid)::text from mart.fct_segment_memberships where customer_id = $1 order by 1", [
      customer,
    ]);
  const membershipsBefore = await memberships();

  await ask("restriction", CANARY.email);
  expect(Object.values(await held()).every((count) => count === 0)).toBe(true);
  expect(await money()).toEqual(moneyBefore);
  expect(await raw()).toEqual(rawBefore);
  // Neither a sync nor a build shows the person again.
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(Object.values(await held()).every((count) => count === 0)).toBe(true);

  await ask("restriction", CANARY.email, { isLifted: true });
  expect(await held()).toEqual(before);
  expect(await history()).toEqual(historyBefore);
  expect(await memberships()).toEqual(membershipsBefore);
  expect(await money()).toEqual(moneyBefore);
  expect(await rowsOf("select from ops.set_aside union all select from ops.kept_credit")).toEqual([]);
  expect(await customerOf(CONTROL.email)).toBeDefined();
});

const neverTaken = (): Promise<never> => Promise.reject(new Error("nothing is to be taken"));

async function openArchive(requestId: string, password: string): Promise<Record<string, string>> {
  const parts: Buffer[] = [];
  await takeArchive(pipeline.pool, requestId, "test", async (taken) => {
    for await (const part of taken) parts.push(part);
  });
  const bytes = Buffer.concat(parts);
  expect(bytes.includes("canary")).toBe(false);
  const reader = new ZipReader(new BlobReader(new Blob([bytes])), { useWebWorkers: false });
  const files: Record<string, string> = {};
  for (const entry of await reader.getEntries()) {
    expect(entry.encrypted).toBe(true);
    if (!entry.directory) files[entry.filename] = await entry.getData(new TextWriter(), { password });
  }
  return files;
}

test("access gives everything that is held, with where it came from, nothing of others, in a file that opens once by its passphrase alone", async () => {
  await rowsOf(
    `insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, state)
     values (gen_random_uuid(), $1, 'newsletter house', 'newsletter', 'marketing', 'done')`,
    [await customerOf(CANARY.email)],
  );
  const { state, requestId, passphrase, receipt } = await ask("access", CANARY.email);
  expect(state).toBe("completed");
  const [stored] = await rowsOf<{ row: string }>(
    "select r::text as row from privacy.requests as r where request_id = $1",
    [requestId],
  );
  expect(stored?.row).not.toContain(passphrase);
  await expect(takeArchive(pipeline.pool, "00000000-0000-4000-8000-000000000000", "x", neverTaken)).rejects.toThrow(
    /no request of this id/,
  );
  const files = await openArchive(requestId, passphrase as string);
  await expect(takeArchive(pipeline.pool, requestId, "test", neverTaken)).rejects.toThrow(/handed out once/);

  const ajv = new Ajv({ strict: false });
  formats.default(ajv);
  const data = JSON.parse(files["data.json"]!) as {
    about: { places: { relation: string; rows: number; kind: string }[]; recipients: unknown[] } & Record<
      string,
      unknown
    >;
    tables: {
      relation: string;
      rows: { source: string; stream: string; landedAt: string; fields: Record<string, unknown> }[];
    }[];
  };
  expect(ajv.validate(JSON.parse(files["schema.json"]!) as object, data), ajv.errorsText()).toBe(true);
  const table = (name: string) => data.tables.find(({ relation }) => relation === name)?.rows ?? [];
  expect(table("raw.shop__customers")).toMatchObject([
    {
      source: "shop",
      stream: "customers",
      fields: { email: CANARY.email, phone: CANARY.phone, name: CANARY.name, id: "7" },
    },
  ]);
  expect(table("raw.shop__customers")[0]?.landedAt).toMatch(/^\d{4}-/);
  expect(table("raw.shop__lines")).toHaveLength(2);
  expect(table("mart.customer_metrics")).toHaveLength(1);
  expect(table("mart.fct_segment_memberships").length).toBeGreaterThan(0);
  expect(data.about.recipients).toMatchObject([{ recipient: "newsletter house", purpose: "marketing" }]);
  const gift = table("raw.shop__orders").find(({ fields }) => fields["id"] === 900)?.fields;
  expect(gift).toMatchObject({ email: "(another person)", customer: "7" });
  expect(gift?.["gift_note"]).toBe(
    `=HYPERLINK("http://evil.test") for (another person), (another person), from ${CANARY.email}`,
  );
  expect(gift?.["undeclared"]).toEqual({ coupon: "(another person) gave it" });
  // Every place that an erasure would touch is named, and every row of it counted.
  for (const { relation, rows } of data.tables.map((each) => ({ relation: each.relation, rows: each.rows.length }))) {
    expect(data.about.places).toContainEqual(expect.objectContaining({ relation, rows }));
  }
  expect(data.about.places.map(({ relation }) => relation)).toEqual(
    expect.arrayContaining([
      "vault.identifiers",
      "core.record_owners",
      "privacy.consent_identifiers",
      "raw.shop__reviews",
    ]),
  );
  const all = Object.values(files).join("\n");
  for (const other of [CONTROL.email, CONTROL.phone, CONTROL.name, "c101@crowd.test"]) expect(all).not.toContain(other);
  expect(files["tables/raw.shop__orders.csv"]).toContain(`"'=HYPERLINK(""http://evil.test"")`);
  expect(files["index.html"]).toMatch(/^<!doctype html>[^]*Zzyzx Canaryson[^]*<\/html>\n$/);
  expect(files["index.html"]).not.toMatch(/<script|https?:\/\/(?!evil|shop)/);
  const [proof] = verifyReceipts(await readReceipts(pipeline.pool, requestId));
  expect(proof?.statement).toMatchObject({ receipt, kind: "access", rows: { "raw.shop__customers": 1 } });
  const [taken] = await rowsOf("select action, actor from privacy.audit where action = 'archive.take' limit 1");
  expect(taken).toEqual({ action: "archive.take", actor: "test" });

  const portable = await ask("portability", CANARY.email);
  const own = await openArchive(portable.requestId, portable.passphrase as string);
  expect(Object.keys(own).filter((name) => name.startsWith("tables/") && !name.startsWith("tables/raw."))).toEqual([]);
  // What nobody holds is said so, and makes nothing.
  const stranger = await ask("access", "nobody@known.test");
  const empty = await openArchive(stranger.requestId, stranger.passphrase as string);
  expect(JSON.parse(empty["data.json"]!)).toMatchObject({ about: { identifiers: [] }, tables: [] });
});

test("access finds what a project's own models hold, whatever they call what tells whose it is", async () => {
  const { requestId, passphrase } = await ask("access", "c113@crowd.test");
  const data = JSON.parse((await openArchive(requestId, passphrase as string))["data.json"]!) as {
    about: { places: { relation: string; rows: number }[] };
    tables: { relation: string; rows: { fields: Record<string, unknown> }[] }[];
  };
  const rowsIn = (relation: string) => data.about.places.find((place) => place.relation === relation)?.rows;
  expect(["mart.fct_events", "mart.fct_sessions", "mart.fct_orders", "mart.fct_reviews"].map(rowsIn)).toEqual([
    1, 1, 1, 1,
  ]);
  expect(
    ["core.trails", "mart.walks", "core.gadgets", "mart.souls", "mart.outings", "mart.things"].map(rowsIn),
  ).toEqual([1, 1, 1, 1, 1, 2]);
  const shown = data.tables.find(({ relation }) => relation === "mart.souls")?.rows;
  expect(shown?.map(({ fields }) => fields["land"])).toEqual(["DE"]);
});

test("an archive refuses rather than leave out a table that can't be traversed, and a wrong passphrase opens nothing", async () => {
  const token = pipeline.vault.naming.token("email", "c107@crowd.test");
  await rowsOf(`create schema if not exists marketing`);
  await rowsOf(`create table marketing.letters as select '${token}'::text as whose`);
  await rowsOf("grant usage on schema marketing to privacy; grant select on all tables in schema marketing to privacy");
  await expect(ask("access", "c107@crowd.test")).rejects.toMatchObject({
    cause: { cause: { message: expect.stringMatching(/marketing\.letters holds 1 row .* give it a foreign key/) } },
  });
  await rowsOf("drop schema marketing cascade");
  const { requestId } = await ask("access", "c107@crowd.test");
  await expect(openArchive(requestId, "00000-00000-00000-00000-00000")).rejects.toThrow(/password/i);
});

test("an archive is had by its own id and passphrase and in its time, and no table's name leads out of its folder", async () => {
  const [mine, other] = [await ask("access", "c110@crowd.test"), await ask("access", "c111@crowd.test")];
  const next = mine.requestId.replace(/.$/, (digit) => ((Number.parseInt(digit, 16) + 1) % 16).toString(16));
  await expect(takeArchive(pipeline.pool, next, "test", neverTaken)).rejects.toThrow(/no request of this id/);
  await expect(openArchive(mine.requestId, other.passphrase as string)).rejects.toThrow(/password/i);
  await rowsOf("update privacy.archives set expires_at = now() where request_id = $1", [other.requestId]);
  await expect(takeArchive(pipeline.pool, other.requestId, "test", neverTaken)).rejects.toThrow(/not any more/);

  await rowsOf("create schema marketing");
  for (const name of ["../../../etc/cron.d/x", "..\\..\\etc\\cron.d\\x", "/tmp/x"]) {
    const table = `marketing."${name}"`;
    await rowsOf(`create table ${table} (customer_id uuid references core.people, "=HYPERLINK(1)" text)`);
    await rowsOf(`insert into ${table} values ($1, '=1+1')`, [await customerOf("c112@crowd.test")]);
  }
  await rowsOf(
    "grant usage on schema marketing to privacy; grant select, delete, maintain on all tables in schema marketing to privacy",
  );
  const { requestId, passphrase } = await ask("access", "c112@crowd.test");
  const files = await openArchive(requestId, passphrase as string);
  await rowsOf("drop schema marketing cascade");
  for (const name of Object.keys(files)) expect(name).toMatch(/^(tables\/)?\w[\w.-]*$/);
  expect(Object.keys(files).join()).not.toContain("..");
  const own = Object.entries(files).filter(([name]) => name.startsWith("tables/marketing"));
  expect(own).toHaveLength(3);
  for (const [, text] of own) expect(text).toMatch(/,'=HYPERLINK\(1\)\r\n[^]*,'=1\+1\r\n/);
});

test("a correction stands through syncs, of attributes as of identifiers, until its source sends the right value or it is taken back", async () => {
  const email = "c120@crowd.test";
  const customer = await customerOf(email);
  const shown = () =>
    rowsOf(
      "select country, phone, email from raw.shop__customers where record_key in (select record_key from core.record_owners where customer_id = $1)",
      [customer],
    );
  const token = (kind: string, value: string) => pipeline.vault.naming.token(kind, value);
  const [before] = await shown();
  const { state, requestId } = await ask(
    "correction",
    email,
    {},
    {
      "shop.customers.country": "AT",
      "shop.customers.phone": "+43 1 5131234",
      "shop.customers.name": "Carla Right",
    },
  );
  expect(state).toBe("completed");
  const right = { country: "AT", phone: token("phone", "+4315131234"), email: token("email", email) };
  expect(await shown()).toEqual([right]);
  expect(await rowsOf("select country from mart.dim_customers where customer_id = $1", [customer])).toEqual([
    { country: "AT" },
  ]);
  expect(await customerOf(email)).toBe(customer);
  expect(await rowsOf("select customer_id from core.identifiers where token = $1", [right.phone])).toEqual([
    { customer_id: customer },
  ]);
  const [kept] = await rowsOf<{ text: string }>(
    "select string_agg(c::text, ' ') as text from privacy.corrections as c",
  );
  expect(kept?.text).not.toMatch(/Carla|"AT"|5131234/);

  // The source goes on to send the wrong values, first unchanged, then beside another change.
  const rows = shopRows();
  await writeRows(directory, rows);
  await pipeline.sync({ source: "shop", full: true });
  expect(await shown()).toEqual([right]);
  const record = rows["customers"]!.find((each) => each["email"] === email)!;
  record["loyalty"] = "gold";
  await writeRows(directory, rows);
  await pipeline.sync({ source: "shop", full: true });
  expect(await shown()).toEqual([right]);
  const { requestId: access, passphrase } = await ask("access", email);
  expect((await openArchive(access, passphrase as string))["data.json"]).toContain("Carla Right");

  // It sends the right country itself: that part of the correction has done its work.
  record["country"] = "AT";
  await writeRows(directory, rows);
  await pipeline.sync({ source: "shop", full: true });
  expect(await shown()).toEqual([right]);
  expect(await rowsOf("select field from privacy.corrections order by 1")).toEqual([
    { field: "name" },
    { field: "phone" },
  ]);
  await pipeline.client.workflow.execute("releaseCorrection", {
    workflowId: `release:${requestId}`,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test" }],
  });
  expect(await shown()).toEqual([{ ...before, country: "AT" }]);
  expect(await rowsOf("select from privacy.corrections")).toEqual([]);
  await expect(ask("correction", email, {}, { "shop.customers.id": "9" })).rejects.toThrow(/tells its records apart/);
  await expect(ask("correction", email, {}, { "shop.customers.shoe": "9" })).rejects.toThrow(/no field of a stream/);
});

test("a leak is scoped to the people of a batch, a recipient or a key generation in a span, by reference and count", async () => {
  const [one, two, three] = await Promise.all(
    ["c125@crowd.test", "c126@crowd.test", "c127@crowd.test"].map(customerOf),
  );
  const batch = "00000000-0000-4000-8000-0000000000b1";
  await rowsOf(
    `insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, fields, state, claimed_at)
     values ($1, $2, 'partner', 'champions', 'marketing', '{email}', 'done', '2026-03-01'),
       ($1, $3, 'partner', 'champions', 'marketing', '{email}', 'unknown', '2026-03-01'),
       ($1, $4, 'partner', 'champions', 'marketing', '{email}', 'withheld', '2026-03-01'),
       (gen_random_uuid(), $4, 'partner', 'at_risk', 'marketing', '{}', 'done', '2026-04-01')`,
    [batch, one, two, three],
  );
  await ask("opt_out", "c125@crowd.test");
  const anywhen = { from: null, to: null };
  const scope = await scopeBreach(pipeline.pool, { batch }, anywhen, "test");
  expect(scope).toMatchObject({
    byChannel: [{ recipient: "partner", audience: "champions", fields: "email", people: 2 }],
    byJurisdiction: expect.arrayContaining([
      { jurisdiction: "EU", people: 1 },
      { jurisdiction: null, people: 1 },
    ]),
  });
  expect(scope.subjects).toHaveLength(2);
  for (const id of [one, two]) expect(scope.subjects).not.toContain(id);
  const partner = { recipient: "partner" };
  expect((await scopeBreach(pipeline.pool, partner, anywhen, "test")).subjects).toHaveLength(3);
  const april = { from: new Date("2026-03-15"), to: new Date("2026-04-15") };
  expect((await scopeBreach(pipeline.pool, partner, april, "test")).subjects).toHaveLength(1);
  const [all] = await rowsOf<{ n: number }>(
    "select count(distinct customer_id)::int as n from core.identifiers where customer_id <> ops.nobody()",
  );
  const generation = await scopeBreach(pipeline.pool, { generation: 1 }, anywhen, "test");
  expect(generation.subjects).toHaveLength(all?.n as number);
  const before = { from: null, to: new Date("2020-01-01") };
  expect((await scopeBreach(pipeline.pool, { generation: 1 }, before, "test")).subjects).toEqual([]);
  await expect(scopeBreach(pipeline.pool, { generation: 99 }, anywhen, "test")).rejects.toThrow(
    /no such key generation/,
  );
  await expect(scopeBreach(pipeline.pool, { batch: "'; drop" }, anywhen, "test")).rejects.toThrow(/no id of a batch/);
  expect(await rowsOf("select from privacy.audit where action = 'breach.scope'")).toHaveLength(5);
});
