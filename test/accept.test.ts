import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { schemaWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { AcceptFieldReport } from "../domain/runs.ts";
import { undeclaredFields } from "../warehouse/status.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

const SCHEMA = `# An account, as the shop has it.
type: object
required: [id]
properties:
  id:    { type: integer, personal: account_id, identifier: customer_id } # the shop's own
  email: { type: string, personal: email, identifier: email }
  born:  { type: string, format: date, personal: birth_date }
`;

const line = (id: number, more: object): string =>
  JSON.stringify({ id, email: `jane.${id}@mail.example`, born: `1984-02-0${id}`, ...more });

let root: string;
let pipeline: Pipeline;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-accept-"));
  await mkdir(join(root, "schemas"));
  await writeFile(join(root, "schemas/customers.yaml"), SCHEMA);
  const records = [
    line(1, { loyalty_tier: "gold", nick: "Janie", mobile: "06 39 98 12 34" }),
    line(2, { loyalty_tier: "silver", nick: "Jo", mobile: "+44 20 7946 0123" }),
    line(3, { loyalty_tier: null, "https://x.example/?m=jane@mail.example": 1 }),
  ];
  await writeFile(join(root, "customers.jsonl"), `${records.join("\n")}\n`);
  await writeFile(
    join(root, "miette.yaml"),
    `name: accept
currency: EUR
time_zone: UTC
default_country: FR
sources:
  shop:
    connector: jsonl
    config: { path: customers.jsonl }
    streams:
      customers: { mode: upsert, key: [id], schema: schemas/customers.yaml }
`,
  );
  pipeline = await openPipeline(root);
  await pipeline.sync({ source: "shop" });
});
afterAll(async () => {
  await pipeline.close();
  await rm(root, { recursive: true });
});

const accept = (field: string, as?: string, unique = field): Promise<AcceptFieldReport> =>
  pipeline.client.workflow.execute("acceptField", {
    workflowId: schemaWorkflowId("shop", "customers", unique.replaceAll(/\W/g, "")),
    taskQueue: TASK_QUEUE,
    args: [{ source: "shop", stream: "customers", field, actor: "os:anna", ...(as && { as }) }],
  }) as Promise<AcceptFieldReport>;

const rows = async (columns: string): Promise<unknown[]> =>
  (await pipeline.pool.query(`select ${columns} from raw.shop__customers order by sealed is null, id`))
    .rows as unknown[];

test("fields that no schema declares are listed with a count, sealed, and an address in a name is a token", async () => {
  const fields = await undeclaredFields(pipeline.pool);
  expect(fields.map(({ field, records }) => [field.replace(/email_[0-9a-f]{32}/, "email_…"), records])).toEqual([
    ["loyalty_tier", 3],
    ["mobile", 2],
    ["nick", 2],
    ["https://x.example/?m=email_…", 1],
  ]);
});

test("a field is accepted as it was found, for the past too, and the schema's comments stay", async () => {
  const report = await accept("loyalty_tier");
  expect(report).toMatchObject({
    isNew: true,
    schema: { type: ["string", "null"] },
    rowsRead: 3,
    rowsChanged: 3,
    valuesRefused: 0,
  });
  expect(await readFile(join(root, "schemas/customers.yaml"), "utf8")).toBe(
    `${SCHEMA}  loyalty_tier: { type: [string, "null"] }\n`,
  );
  const tiers = (await rows("loyalty_tier")) as { loyalty_tier: string | null }[];
  expect(tiers.map((row) => row.loyalty_tier).sort()).toEqual(["gold", null, "silver"].sort());
});

test("a field is accepted as personal where its name says so, or a person does, and as open where a person says so", async () => {
  expect(await accept("mobile")).toMatchObject({ schema: { personal: "phone", identifier: "phone" } });
  expect(await rows("mobile")).toEqual(
    expect.arrayContaining([
      { mobile: pipeline.vault.naming.token("phone", "+33639981234") },
      { mobile: pipeline.vault.naming.token("phone", "+442079460123") },
      { mobile: null },
    ]),
  );
  expect(await accept("nick", "name")).toMatchObject({ schema: { personal: "name" } });
  await expect(rows("nick")).rejects.toThrow("does not exist");
  expect((await undeclaredFields(pipeline.pool)).map(({ field }) => field.slice(0, 5))).toEqual(["https"]);
});

test("a field that nobody has sent is refused, and one that is declared is left as it is", async () => {
  await expect(accept("nothing")).rejects.toMatchObject({
    cause: { cause: { message: expect.stringContaining("no record of shop.customers") as string } },
  });
  expect(await accept("loyalty_tier", "name", "again")).toMatchObject({ isNew: false, rowsRead: 0 });
});

test("a match key that is added later is made for the past by the next sync, and what was done is in the audit", async () => {
  const file = join(root, "schemas/customers.yaml");
  await writeFile(file, `${await readFile(file, "utf8")}match_keys: { mail_birth: [email, born] }\n`);
  await pipeline.sync({ source: "shop" });
  const keys = (await rows("mail_birth")) as { mail_birth: string }[];
  expect(keys.map((row) => row.mail_birth)).toEqual(
    expect.arrayContaining(
      [1, 2, 3].map((id) =>
        pipeline.vault.naming.token("mail_birth", [`jane.${id}@mail.example`, `1984020${id}`].join("\0")),
      ),
    ),
  );
  const { rows: lines } = await pipeline.pool.query<{ actor: string; action: string; detail: object }>(
    "select actor, action, detail from privacy.audit where action in ('schema.accept', 'stream.reprocess') order by happened_at",
  );
  expect(lines.map(({ actor, action }) => `${actor} ${action}`)).toEqual([
    "os:anna schema.accept",
    "os:anna stream.reprocess",
    "os:anna schema.accept",
    "os:anna stream.reprocess",
    "os:anna schema.accept",
    "os:anna stream.reprocess",
    "worker stream.reprocess",
  ]);
  expect(lines[0]?.detail).toEqual({ source: "shop", stream: "customers", field: "loyalty_tier", personal: null });
  expect(lines.at(-1)?.detail).toEqual({
    source: "shop",
    stream: "customers",
    rowsRead: 3,
    rowsChanged: 3,
    valuesRefused: 0,
  });
});
