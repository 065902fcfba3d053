import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readConsent, readLedger } from "../warehouse/consent/state.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

const CANARY = "canary-7f3a@victim.test";
let directory: string;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-consent-"));
  await mkdir(join(directory, "schemas"));
  await mkdir(join(directory, "sql/models/staging"), { recursive: true });
  await writeFile(
    join(directory, "miette.yaml"),
    `name: shop
currency: EUR
time_zone: UTC
sources:
  letter:
    connector: csv
    config: { path: consents.csv }
    streams:
      consents: { mode: snapshot, key: [id], schema: schemas/consents.yaml }
`,
  );
  await writeFile(
    join(directory, "schemas/consents.yaml"),
    `type: object
required: [id, email, purpose, granted, said_at]
properties:
  id: { type: integer }
  email: { type: string, personal: email, identifier: email }
  purpose: { type: string }
  granted: { type: boolean }
  said_at: { type: string, format: date-time }
  text_version: { type: string }
`,
  );
  await writeFile(
    join(directory, "sql/models/staging/letter__consents.sql"),
    `-- One row per answer to the letter.
-- contract: consents
select
    record_key,
    deleted_at,
    null::text as customer_ref,
    email as email_token,
    purpose,
    granted as is_granted,
    said_at as occurred_at,
    'EU'::text as jurisdiction,
    text_version as notice_version
from raw.letter__consents
`,
  );
  await answers(`1,${CANARY},marketing,true`, "2,control@shop.example,marketing,true");
  pipeline = await openPipeline(directory);
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

const answers = (...rows: string[]) =>
  writeFile(
    join(directory, "consents.csv"),
    ["id,email,purpose,granted,said_at,text_version", ...rows.map((row) => `${row},2026-03-01T10:00:00Z,v7`)].join(
      "\n",
    ),
  );

async function standingOf(email: string): Promise<{ customerId: string; standing: string | undefined }> {
  const { rows } = await pipeline.pool.query<{ customer_id: string }>(
    "select customer_id from core.identifiers where token = $1",
    [pipeline.vault.naming.token("email", email)],
  );
  const customerId = rows[0]?.customer_id as string;
  const [state] = await readConsent(pipeline.pool, [customerId], ["marketing"]);
  return { customerId, standing: state?.standing };
}

test("what a source says of consent holds with the build that publishes it, and so does its withdrawal", async () => {
  await pipeline.run();
  const { customerId, standing } = await standingOf(CANARY);
  expect(standing).toBe("granted");
  expect(await readLedger(pipeline.pool, customerId)).toMatchObject([
    { choice: "consent", given: true, purpose: "marketing", source: "letter", notice: "v7", jurisdiction: "EU" },
  ]);
  await answers(`1,${CANARY},marketing,false`, "2,control@shop.example,marketing,true");
  await pipeline.run();
  expect((await standingOf(CANARY)).standing).toBe("refused");
  expect((await standingOf("control@shop.example")).standing).toBe("granted");
  expect(await readLedger(pipeline.pool, customerId)).toHaveLength(2);
  const { rows } = await pipeline.pool.query(
    "select e::text || coalesce(i::text, '') as text from privacy.consent_events e left join privacy.consent_identifiers i using (event_id)",
  );
  expect(rows).toHaveLength(3);
  expect(JSON.stringify(rows)).not.toContain("canary-7f3a");
});
