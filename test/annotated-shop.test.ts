import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErasureReport } from "../domain/requests.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import { normaliseIdentifier } from "../privacy/normalise.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { kindOf, readCollections, writeAnnotatedProject, type Collection } from "./annotated-shop.ts";
import { HAS_SHARED_DATA, openPipeline, SHARED_DATA, type Pipeline } from "./pipeline.ts";
import { restoreDatabase } from "./restore.ts";

type Row = Record<string, unknown>;

/** A row of the shop beside the row of the warehouse that it landed as. */
interface Landed {
  collection: string;
  /** Whose the row is: `customer_id 1`, or an address that nobody has; null: nobody's. */
  owner: string | null;
  /** Columns that hold an identifier, each with whose it is. */
  identifiers: Map<string, string>;
  recordKey: string;
}

/** By what each is asked for, who it is, and how many rows of each table are theirs alone; the last two in the long tests. */
const EVERYBODY: [string, string, Record<string, number>][] = [
  ["jane@example.com", "customer_id 3", { customer: 1, payment_card: 1, orders: 1, login: 1, address: 1 }],
  ["employee-1@example.com", "employee_id 1", { employee: 1 }],
  [
    "customer-1-alt@example.com",
    "customer_id 1",
    { customer: 1, payment_card: 1, orders: 3, order_item: 4, login: 6, visit: 1, service_request: 1 },
  ],
  ["customer-3@example.com", "customer-3@example.com", { service_request: 2 }],
];
const PEOPLE = process.env["MIETTE_TEST_LONG"] ? EVERYBODY : EVERYBODY.slice(0, 2);

describe.skipIf(!HAS_SHARED_DATA)("the annotated shop of Fides", () => {
  let directory: string;
  let source: Awaited<ReturnType<typeof restoreDatabase>>;
  let pipeline: Pipeline;
  let collections: Collection[];
  let landed: Landed[];
  let keys: Map<string, string[]>;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "miette-annotated-"));
    source = await restoreDatabase(join(SHARED_DATA, "fides_privacy/postgres_sample.sql"));
    collections = await readCollections(join(SHARED_DATA, "fides_privacy/postgres_example_test_dataset.yml"));
    keys = await writeAnnotatedProject(directory, source.url, collections);
    pipeline = await openPipeline(directory);
    await pipeline.run();
    landed = await matchRows();
  });
  afterAll(async () => {
    await pipeline.close();
    await source.drop();
    await rm(directory, { recursive: true });
  });

  /** Goes through the shop by the annotations alone, and finds what each of its rows has landed as. */
  async function matchRows(): Promise<Landed[]> {
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    const rowsOf = async (name: string): Promise<Row[]> => (await client.query(`select * from ${name}`)).rows as Row[];
    const people = new Map<string, string>();
    for (const name of ["customer", "employee"]) {
      for (const { id, email } of await rowsOf(name)) people.set(String(email), `${name}_id ${String(id)}`);
    }
    for (const { email, alt_email } of await rowsOf("service_request")) {
      const person = people.get(String(email));
      if (typeof alt_email === "string" && person) people.set(alt_email, person);
    }
    const orders = new Map(
      (await rowsOf("orders")).map(({ id, customer_id }) => [id, `customer_id ${String(customer_id)}`]),
    );
    const all: Landed[] = [];
    for (const { name, fields } of collections) {
      const raw = await snapshot(name);
      const shop = await rowsOf(name === "address" ? "owned_address" : name);
      expect(raw.size).toBe(shop.length);
      for (const row of shop) {
        const kinds = fields.flatMap(({ name: field }) => {
          const kind = kindOf(collections, name, field);
          return kind !== null && row[field] !== null ? [[field, kind] as const] : [];
        });
        if (name === "address") {
          for (const kind of ["customer_id", "employee_id"]) if (row[kind] !== null) kinds.push([kind, kind]);
        }
        const personOf = (field: string, kind: string): string =>
          kind === "email" ? (people.get(String(row[field])) ?? String(row[field])) : `${kind} ${String(row[field])}`;
        const strongest = ["customer_id", "email", "employee_id"].flatMap((kind) =>
          kinds.filter(([, each]) => each === kind),
        )[0];
        const isThis = (landedRow: Row): boolean =>
          keys.get(name)!.every((field) => {
            // Nobody has visited twice.
            if (row[field] instanceof Date) return true;
            const kind = kinds.find(([each]) => each === field)?.[1];
            if (!kind) return String(landedRow[field]) === String(row[field]);
            const canonical = normaliseIdentifier(kind === "email" ? "email" : "account_id", String(row[field]), null)!;
            return landedRow[field] === pipeline.vault.naming.token(kind, canonical);
          });
        const matching = [...raw].filter(([, each]) => isThis(each));
        expect(matching, `${name} ${JSON.stringify(row)}`).toHaveLength(1);
        all.push({
          collection: name,
          owner: strongest ? personOf(...strongest) : (orders.get(row["order_id"]) ?? null),
          identifiers: new Map(kinds.map(([field, kind]) => [field, personOf(field, kind)])),
          recordKey: matching[0]![0],
        });
      }
    }
    await client.end();
    return all;
  }

  /** The rows of a raw table by their keys, without what tells when they were written. */
  async function snapshot(collection: string): Promise<Map<string, Row>> {
    const { rows } = await pipeline.pool.query<{ key: string; row: Row }>(
      `select record_key as key, to_jsonb(t) - '{landed_xid,record_seq,landed_at}'::text[] as row from raw.shop__${collection} as t`,
    );
    return new Map(rows.map(({ key, row }) => [key, row]));
  }

  async function erase(email: string): Promise<ErasureReport> {
    const { requestId, workflow } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
      kind: "erasure",
      channel: "cli",
      jurisdiction: "EU",
      named: { emails: [email], phones: [], ids: [] },
      actor: "test",
    });
    return (await pipeline.client.workflow.execute(workflow.type, {
      workflowId: workflow.workflowId,
      taskQueue: TASK_QUEUE,
      args: [{ requestId, actor: "test", approvedBy: "test" }],
    })) as ErasureReport;
  }

  test.each(PEOPLE)(
    "erasing %s empties every annotated column that is theirs, and touches no other's",
    async (email, person, theirs) => {
      const names = collections.map(({ name }) => name);
      const before = new Map(await Promise.all(names.map(async (name) => [name, await snapshot(name)] as const)));
      expect(await erase(email)).toMatchObject({ state: "completed" });
      const after = new Map(await Promise.all(names.map(async (name) => [name, await snapshot(name)] as const)));
      const emptied: Record<string, number> = {};
      for (const { collection, owner, identifiers, recordKey } of landed) {
        const [was, is] = [before.get(collection)!.get(recordKey), after.get(collection)!.get(recordKey)];
        if (owner !== person) {
          const cut = [...identifiers].flatMap(([field, who]) => (who === person ? [[field, null]] : []));
          expect(is, `${collection} of ${owner}`).toEqual(was && { ...was, ...(Object.fromEntries(cut) as Row) });
          continue;
        }
        emptied[collection] = (emptied[collection] ?? 0) + 1;
        if (collection !== "orders") expect(is, collection).toBeUndefined();
        else
          expect(is).toMatchObject({
            customer_id: null,
            sealed: null,
            owner_token: null,
            shipping_address_id: expect.anything() as unknown,
          });
      }
      expect(emptied).toEqual(theirs);
    },
  );
});
