import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { inTransaction } from "../database.ts";
import { feedLedger } from "./feed.ts";
import { recordSaid, type Said } from "./record.ts";
import { readConsent, readLedger } from "./state.ts";

const ANNA = "00000000-0000-4000-8000-00000000000a";
const BEN = "00000000-0000-4000-8000-00000000000b";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(`
    create table core.identifiers (token text primary key, kind text, customer_id uuid, is_shared boolean, is_blocked boolean);
    create table core.consents (record_key uuid primary key, source text not null, customer_ref text, email_token text, phone_token text,
      purpose text not null, is_granted boolean not null, occurred_at timestamptz not null, jurisdiction text, notice_version text, expires_at timestamptz)`);
  await database.pool.query("select ops.settle_privileges()");
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(`
    alter table privacy.consent_events disable trigger insert_only;
    delete from privacy.consent_identifiers; delete from privacy.consent_events;
    alter table privacy.consent_events enable trigger insert_only;
    truncate core.consents, core.identifiers;
    insert into core.identifiers values ('email_a', 'email', '${ANNA}'), ('phone_a', 'phone', '${ANNA}'), ('email_b', 'email', '${BEN}'),
      ('device_shared', 'device_id', ops.nobody())`);
});

const say = (tokens: string[], said: Partial<Said>) =>
  inTransaction(
    database.pool,
    (client) =>
      recordSaid(
        client,
        {
          choice: "consent",
          isGiven: true,
          purpose: "marketing",
          occurredAt: new Date("2026-01-01T00:00:00Z"),
          source: "cli",
          noticeVersion: "v1",
          jurisdiction: "EU",
          expiresAt: null,
          ...said,
        },
        tokens,
        "test",
      ),
    "begin; set local role privacy",
  );
const on = (day: string) => new Date(`2026-${day}T00:00:00Z`);
const standing = async (customer = ANNA, purpose = "marketing") => {
  const [state] = await readConsent(database.pool, [customer], [purpose]);
  return `${state?.standing} ${state?.isAllowed ? "yes" : "no"}`;
};

interface Record {
  key: string;
  email?: string | null;
  granted: boolean;
  at?: string;
  purpose?: string;
}
const source = async (...records: Record[]) => {
  await database.pool.query("truncate core.consents");
  for (const { key, email = "email_a", granted, at = "2026-02-01", purpose = "marketing" } of records) {
    await database.pool.query(
      `insert into core.consents (record_key, source, email_token, purpose, is_granted, occurred_at, jurisdiction, notice_version)
       values ($1, 'newsletter', $2, $3, $4, $5, 'EU', 'n2')`,
      [key, email, purpose, granted, at],
    );
  }
  return await feedLedger(database.pool);
};

test("nothing said is a no where the law asks for a yes, and where the law is not known", async () => {
  expect(await standing()).toBe("unknown no");
  await say(["email_a"], { purpose: "analytics", jurisdiction: "US-CA" });
  expect(await standing()).toBe("unknown yes");
  await say(["phone_a"], { purpose: "analytics", jurisdiction: "EU" });
  expect(await standing()).toBe("unknown no");
});

test("the last word counts, by whichever identifier it came, and another purpose or person says nothing", async () => {
  await say(["email_a"], {});
  expect(await standing()).toBe("granted yes");
  await say(["phone_a"], { isGiven: false, occurredAt: on("03-01") });
  expect(await standing()).toBe("refused no");
  await say(["email_a"], { occurredAt: on("02-01") });
  await say(["email_a"], { purpose: "analytics", occurredAt: on("04-01") });
  await say(["email_b"], { occurredAt: on("04-01") });
  expect([await standing(), await standing(ANNA, "analytics"), await standing(BEN)]).toEqual([
    "refused no",
    "granted yes",
    "granted yes",
  ]);
});

test("of two words of the same moment the one that forbids counts, in either order", async () => {
  await say(["email_a"], { isGiven: false });
  await say(["email_a"], {});
  await say(["email_b"], {});
  await say(["email_b"], { isGiven: false });
  expect([await standing(), await standing(BEN)]).toEqual(["refused no", "refused no"]);
});

test("a consent from the future does not outlive a withdrawal of today", async () => {
  await say(["email_a"], { occurredAt: new Date("2099-01-01T00:00:00Z") });
  expect(await standing()).toBe("granted yes");
  await say(["email_a"], { isGiven: false, occurredAt: new Date() });
  await say(["email_a"], { isGiven: false, occurredAt: new Date(Date.now() + 60_000) });
  expect(await standing()).toBe("refused no");
});

test("a consent that has expired is none", async () => {
  await say(["email_a"], { expiresAt: on("02-01") });
  expect(await standing()).toBe("unknown no");
  await say(["email_a"], { isGiven: false, purpose: "*", occurredAt: on("03-01") });
  expect(await standing()).toBe("refused no");
});

test.each([
  ["objection", "marketing", "objected no"],
  ["opt_out", "marketing", "opted_out no"],
  ["restriction", "*", "restricted no"],
] as const)("%s outweighs every consent, also a later one, until it is lifted", async (choice, purpose, expected) => {
  await say(["email_a"], { choice, purpose });
  await say(["email_a"], { occurredAt: on("05-01") });
  expect(await standing()).toBe(expected);
  await say(["email_a"], { choice, purpose, isGiven: false, occurredAt: on("06-01") });
  expect(await standing()).toBe("granted yes");
});

test("what a shared identifier said binds nobody", async () => {
  await say(["device_shared"], {});
  const states = await readConsent(database.pool, [ANNA, "00000000-0000-0000-0000-000000000000"], ["marketing"]);
  expect(states.map((state) => state.standing)).toEqual(["unknown", "unknown"]);
});

test("what can't be said is refused, and what was said is never altered", async () => {
  await expect(say(["email_a"], { purpose: "*" })).rejects.toThrow(/given for one purpose/);
  await expect(say(["email_a"], { purpose: "'; drop table" })).rejects.toThrow(/purpose: must be a word/);
  await expect(say(["email_a"], { expiresAt: on("01-01") })).rejects.toThrow(/later than/);
  await say(["email_a"], {});
  for (const change of ["update privacy.consent_events set is_given = true", "delete from privacy.consent_events"]) {
    await expect(database.pool.query(change)).rejects.toThrow(/only inserted/);
  }
});

test("an erasure cuts the tokens, and the proof stays without a person", async () => {
  await say(["email_a"], {});
  await inTransaction(
    database.pool,
    (client) => client.query("delete from privacy.consent_identifiers where token = 'email_a'"),
    "begin; set local role privacy",
  );
  expect(await standing()).toBe("unknown no");
  const { rows } = await database.pool.query("select row_to_json(e)::text as text from privacy.consent_events as e");
  expect(rows).toHaveLength(1);
  expect(JSON.stringify(rows)).not.toMatch(/email_a|0000000a/);
});

test("sources feed the ledger once, and what they change becomes a new event", async () => {
  const key = randomUUID();
  expect(await source({ key, granted: true })).toBe(1);
  expect(await feedLedger(database.pool)).toBe(0);
  expect(await standing()).toBe("granted yes");
  expect(await source({ key, granted: false })).toBe(1);
  expect(await standing()).toBe("refused no");
  expect(await source({ key, granted: true })).toBe(1);
  expect(await standing()).toBe("granted yes");
  expect(await source({ key, granted: true, email: "email_b" })).toBe(1);
  expect([await standing(), await standing(BEN)]).toEqual(["unknown no", "granted yes"]);
  const ledger = await readLedger(database.pool, BEN);
  expect(ledger).toMatchObject([{ source: "newsletter", given: true, notice: "n2", jurisdiction: "EU" }]);
});

test("a consent whose record is gone proves nothing any more, and a refusal stays", async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  await source({ key: first, granted: true, at: "2026-02-01" }, { key: second, granted: false, email: "email_b" });
  await say(["email_b"], {});
  expect(await source()).toBe(1);
  expect(await feedLedger(database.pool)).toBe(0);
  expect([await standing(), await standing(BEN)]).toEqual(["unknown no", "refused no"]);
  expect(await source({ key: first, granted: true })).toBe(1);
  expect(await standing()).toBe("granted yes");
});

test("a record without an identifier, or about no purpose, says nothing", async () => {
  const added = await source(
    { key: randomUUID(), granted: true, email: null },
    { key: randomUUID(), granted: true, purpose: "no purpose at all" },
  );
  expect(added).toBe(0);
  expect(await source({ key: randomUUID(), granted: true, purpose: " Marketing " })).toBe(1);
  expect(await standing()).toBe("granted yes");
});

test("an erasure that comes between makes the feed read again", async () => {
  await source({ key: randomUUID(), granted: true });
  const [eraser, blocker] = [await database.pool.connect(), await database.pool.connect()];
  try {
    // Holds the feed after it has read the epoch and before its end.
    await blocker.query("begin; lock table privacy.consent_identifiers in access exclusive mode");
    await database.pool.query("update core.consents set is_granted = false");
    const feeding = feedLedger(database.pool);
    await expect
      .poll(async () => {
        const { rowCount } = await blocker.query("select from pg_locks where not granted");
        return rowCount;
      })
      .toBeGreaterThan(0);
    await eraser.query("begin; lock table privacy.epoch in exclusive mode; update privacy.epoch set epoch = epoch + 1");
    await eraser.query("delete from core.consents; commit");
    await blocker.query("commit");
    expect(await feeding).toBe(1);
  } finally {
    eraser.release();
    blocker.release();
  }
  const { rows } = await database.pool.query("select is_given from privacy.consent_events order by event_id");
  expect(rows.map(({ is_given }) => is_given as unknown)).toEqual([true, null]);
});
