import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { inTransaction } from "../warehouse/database.ts";
import { recordChange } from "../warehouse/relation-state.ts";

const FILES: Record<string, string> = {
  "miette.yaml": `name: links
currency: EUR
time_zone: UTC
sources:
  links:
    connector: jsonl
    config: { path: "data/*.jsonl" }
    streams:
      links: { mode: append, key: [link_id], schema: schemas/links.yaml }
identity:
  identifiers:
    - { kind: email, limit: 5 }
    - { kind: device_id, limit: 50 }
`,
  "schemas/links.yaml": `type: object
required: [link_id, occurred_at]
properties:
  link_id: { type: string }
  occurred_at: { type: string, format: date-time }
  email: { type: [string, "null"], personal: email, identifier: email }
  device_id: { type: [string, "null"], personal: device_id, identifier: device_id }
`,
  "sql/models/staging/links__links.sql": `-- One row per link.
-- contract: events
select record_key, deleted_at, 'linked' as name, occurred_at, device_id as device_token, null::text as customer_ref,
  email as email_token, null::text as page_url, null::text as referrer, null::text as utm_source, null::text as utm_medium,
  null::text as utm_campaign, null::text as product_ref, null::jsonb as properties
from raw.links__links
`,
  "data/links.jsonl": `{"link_id":"first","occurred_at":"2025-01-01T00:00:00Z","email":"first@mail.example","device_id":"first"}\n`,
};

/** Of 1,000,000 links: e-mail addresses that open a person, further addresses, devices. The other links repeat. */
const SHARES = { people: 0.3, addresses: 0.2, devices: 0.469_194 };

export interface LinkCounts {
  links: number;
  people: number;
  addresses: number;
  devices: number;
}

export function linkCounts(links: number): LinkCounts {
  const share = (of: number): number => Math.round(links * of);
  return { links, people: share(SHARES.people), addresses: share(SHARES.addresses), devices: share(SHARES.devices) };
}

/** Writes a project whose one record makes landing create the raw table. */
export async function writeLinksProject(directory: string): Promise<void> {
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(join(directory, path, ".."), { recursive: true });
    await writeFile(join(directory, path), text);
  }
}

/**
 * Fills the raw table with links as landing would, without the vault that identity resolution does not read: every device
 * with its person's first address, every further address with the person's first device, and repetitions of the former.
 */
export async function fillLinks(pool: pg.Pool, { links, people, addresses, devices }: LinkCounts): Promise<void> {
  await addLinks(pool, [
    "delete from raw.links__links",
    insertLinks(0, `select n, n % ${people}, n from generate_series(0, ${devices - 1}) as n`),
    insertLinks(devices, `select n, ${people} + n, n from generate_series(0, ${addresses - 1}) as n`),
    insertLinks(
      devices + addresses,
      `select n, device % ${people}, device from (
         select n, n * 7 % ${devices} as device from generate_series(0, ${links - devices - addresses - 1}) as n
       ) as repeated`,
    ),
  ]);
}

/** Adds links of new devices with people who are there. @param from how many links were added before */
export async function addNewLinks(pool: pg.Pool, counts: LinkCounts, from: number, count: number): Promise<void> {
  await addLinks(pool, [
    insertLinks(
      counts.links + from,
      `select n, n * 31 % ${counts.people}, ${counts.devices} + ${from} + n from generate_series(0, ${count - 1}) as n`,
    ),
  ]);
}

/** @param rows a select of a number, the number of an address and that of a device */
function insertLinks(first: number, rows: string): string {
  return `insert into raw.links__links (link_id, occurred_at, email, device_id, record_key, content_hash, reload)
    select (${first} + number)::text, timestamptz '2025-01-01' + number * interval '1 second', 'email_' || md5('address ' || address),
      'device_id_' || md5('device ' || device), md5('link ' || (${first} + number))::uuid, md5('link ' || (${first} + number))::uuid, 1
    from (${rows}) as links (number, address, device)`;
}

async function addLinks(pool: pg.Pool, statements: string[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    for (const statement of statements) await client.query(statement);
    await recordChange(client, "raw.links__links");
  });
  await pool.query("vacuum analyze raw.links__links");
}
