import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { RequestKind, RequestReport, RequestTerms } from "../domain/requests.ts";
import { decideSplit } from "../warehouse/identity/decide.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { request } from "./requests.ts";

/** The shop of erasures, with segments for each kind of purpose and an order that names another person. */
export interface Rights {
  directory: string;
  pipeline: Pipeline;
  rowsOf<T = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
  /** Has a request carried out that somebody enters by a command. */
  ask(
    kind: RequestKind,
    email: string,
    terms?: RequestTerms,
    values?: Record<string, string | null>,
  ): Promise<RequestReport & { requestId: string; passphrase: string | null }>;
  customerOf(email: string): Promise<string>;
  close(): Promise<void>;
}

export async function openRights(): Promise<Rights> {
  const directory = await mkdtemp(join(tmpdir(), "miette-rights-"));
  await writeShop(directory);
  const pipeline = await openPipeline(directory);
  await pipeline.run();
  const { pool, vault } = pipeline;
  const rights: Rights = {
    directory,
    pipeline,
    rowsOf: async <T>(sql: string, values: unknown[] = []) => (await pool.query(sql, values)).rows as T[],
    ask: (kind, email, terms = {}, values) => request(pipeline, email, { kind, terms, ...(values && { values }) }),
    async customerOf(email) {
      const token = vault.naming.token("email", email);
      const rows = await rights.rowsOf<{ id: string }>(
        "select customer_id as id from core.identifiers where token = $1",
        [token],
      );
      return rows[0]?.id as string;
    },
    async close() {
      await pipeline.close();
      await rm(directory, { recursive: true });
    },
  };
  await partGift(rights);
  return rights;
}

/** Models whose columns tell by no name whose their rows are. */
const OWN_MODELS: Record<string, string> = {
  "core/trails.sql": `-- One row per page that was seen.
-- key: trail
select events.record_key as trail, events.device_token as gadget, events.page_url as place from core.events as events
`,
  "core/gadgets.sql": `-- One row per device.
-- key: gadget
select distinct trails.gadget from core.trails as trails where trails.gadget is not null
`,
  "mart/walks.sql": `-- One row per page that was seen.
-- key: walk
select trails.trail as walk, length(trails.place) as steps from core.trails as trails
`,
  "mart/souls.sql": `-- One row per customer.
-- key: soul
select customers.customer_id as soul, customers.country as land from mart.dim_customers as customers
`,
  "mart/outings.sql": `-- One row per visit.
-- key: outing
select sessions.session_id as outing, sessions.channel as way from mart.fct_sessions as sessions
`,
  "mart/things.sql": `-- One row per order and per review.
-- key: thing
select orders.order_id as thing, 'order' as sort from mart.fct_orders as orders
union all
select reviews.review_id, 'review' from mart.fct_reviews as reviews
`,
};

async function writeShop(directory: string): Promise<void> {
  await writeErasureProject(directory);
  await mkdir(join(directory, "sql/segments"), { recursive: true });
  const everybody = "select customers.customer_id from mart.dim_customers as customers";
  await writeFile(
    join(directory, "sql/segments/newsletter.sql"),
    `-- Who may get the newsletter.\n-- consent: marketing\n${everybody}\n`,
  );
  await writeFile(join(directory, "sql/segments/everybody.sql"), `-- For analysis.\n${everybody}\n`);
  await writeFile(
    join(directory, "sql/segments/patients.sql"),
    `-- Told by what is sensitive.\n-- purpose: care\n${everybody}\n`,
  );
  for (const [path, sql] of Object.entries(OWN_MODELS)) {
    await mkdir(join(directory, "sql/models", dirname(path)), { recursive: true });
    await writeFile(join(directory, "sql/models", path), sql);
  }
  const rows = shopRows();
  rows["reviews"]?.push({ id: 913, email: "c113@crowd.test", stars: 4, text: "good" });
  // An order of hers to another's address, with a note that tells of both, and a cell that a spreadsheet would run.
  rows["orders"]?.push({
    id: 900,
    customer: CANARY.id,
    email: CONTROL.email,
    gift_note: `=HYPERLINK("http://evil.test") for ${CONTROL.name}, ${CONTROL.phone}, from ${CANARY.email}`,
    amount: 7,
    ordered_at: "2026-02-12T12:00:00Z",
    coupon: `${CONTROL.email} gave it`,
  });
  await writeRows(directory, rows);
}

/** Whose the address of the gift is, the order of random tokens decides: an order ties it to her, a customer to its own. */
async function partGift({ pipeline, rowsOf, customerOf }: Rights): Promise<void> {
  const { pool, vault } = pipeline;
  const links = await rowsOf<{ token: string; linked: string }>(
    `select token, linked_token as linked from core.identifiers
     where $1 in (token, linked_token) and linked_token is not null and customer_id = $2`,
    [vault.naming.token("email", CONTROL.email), await customerOf(CANARY.email)],
  );
  const { identity } = await pipeline.project();
  for (const { token, linked } of links) await decideSplit(pool, identity, [token, linked], "test");
  if (links.length) await pipeline.build();
}
