import { createHash } from "node:crypto";
import type pg from "pg";
import { scrub } from "../privacy/scrubber.ts";

/** Whom a line of the audit is about: a customer, or an identifier of which only the token is known. */
export type AuditSubject = { customerId: string } | { token: string };

export interface AuditLine {
  /** Who acts: `os:anna`, `worker`. */
  actor: string;
  /** What was done, as `reveal` or `keys.rotate`. */
  action: string;
  subject?: AuditSubject;
  purpose?: string;
  /** Ids, names and counts; never a value of a record. */
  detail?: Record<string, string | number | boolean | null>;
}

/**
 * Writes a line of the audit in the caller's transaction; it is chained to the line before at the commit. An e-mail
 * address or a phone number in the purpose or the detail is replaced by its kind, since a line can never be altered.
 * @returns the line's id
 */
export async function recordAudit(client: pg.ClientBase, line: AuditLine): Promise<string> {
  const subject = line.subject ? await subjectReference(client, line.subject) : null;
  const { rows } = await client.query<{ audit_id: string }>(
    `insert into privacy.audit (actor, action, subject, purpose, detail) values ($1, $2, $3, $4, $5) returning audit_id`,
    [
      line.actor.slice(0, 200),
      line.action,
      subject,
      line.purpose === undefined ? null : withoutContacts(line.purpose).slice(0, 1000),
      withoutContacts(JSON.stringify(line.detail ?? {})),
    ],
  );
  return rows[0]?.audit_id as string;
}

/** The random reference under which the audit names a person: made at first use, gone with the person's erasure. */
export async function subjectReference(client: pg.ClientBase, subject: AuditSubject): Promise<string> {
  const [column, name] = "customerId" in subject ? ["customer_id", subject.customerId] : ["token", subject.token];
  await client.query(`insert into privacy.subjects (${column}) values ($1) on conflict do nothing`, [name]);
  const { rows } = await client.query<{ subject: string }>(
    `select subject from privacy.subjects where ${column} = $1`,
    [name],
  );
  return rows[0]?.subject as string;
}

/** What the audit's end was: kept outside of the warehouse, it shows whether lines were cut off since. */
export interface AuditHead {
  seq: number;
  /** Hex. */
  hash: string;
}

export interface AuditVerdict {
  lines: number;
  head: AuditHead | null;
  /** The first line that is not as it was written, or null. */
  firstBad: { seq: number | null; auditId: string | null; reason: string } | null;
}

const BATCH = 10_000;

/**
 * Recomputes the chain from its first line on.
 * @param known a head noted earlier; that line has to stand where it stood
 */
export async function verifyAudit(client: pg.ClientBase, known: AuditHead | null = null): Promise<AuditVerdict> {
  let head: AuditHead | null = null;
  let lines = 0;
  const verdict = (seq: number | null, auditId: string | null, reason: string): AuditVerdict => ({
    lines,
    head,
    firstBad: { seq, auditId, reason },
  });
  for (let after = 0; ;) {
    const { rows } = await client.query<{ seq: string; audit_id: string; hash: Buffer; line: string | null }>(
      `select chain.seq, chain.audit_id, chain.hash,
         case when audit.audit_id is not null then privacy.audit_text(chain.seq, audit) end as line
       from privacy.audit_chain as chain left join privacy.audit as audit on audit.audit_id = chain.audit_id
       where chain.seq > $1 order by chain.seq limit ${BATCH}`,
      [after],
    );
    for (const { seq, audit_id, hash, line } of rows) {
      const expected = lines + 1;
      if (Number(seq) !== expected) return verdict(expected, null, "the line is missing");
      if (line === null) return verdict(expected, audit_id, "the line was deleted");
      const before: Buffer = head === null ? Buffer.alloc(0) : Buffer.from(head.hash, "hex");
      if (!createHash("sha256").update(before).update(line).digest().equals(hash)) {
        return verdict(expected, audit_id, "the line or its hash was altered");
      }
      lines = expected;
      head = { seq: expected, hash: hash.toString("hex") };
      if (known?.seq === expected && known.hash !== head.hash) {
        return verdict(expected, audit_id, "the chain was written anew since its head was noted");
      }
    }
    if (rows.length < BATCH) break;
    after = lines;
  }
  if (known && known.seq > lines) return verdict(lines + 1, null, "lines were cut off since the head was noted");
  const { rows: loose } = await client.query<{ audit_id: string }>(
    `select audit_id from privacy.audit where audit_id not in (select audit_id from privacy.audit_chain)
     order by happened_at limit 1`,
  );
  if (loose[0]) return verdict(null, loose[0].audit_id, "the line is not part of the chain");
  return { lines, head, firstBad: null };
}

function withoutContacts(text: string): string {
  return scrub(text, (kind) => `(${kind})`);
}
