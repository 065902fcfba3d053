import type pg from "pg";
import { CodedError, UserError } from "../domain/errors.ts";
import type { Project } from "../domain/project.ts";
import { rawTableName } from "../domain/streams.ts";
import { normaliseIdentifier } from "../privacy/normalise.ts";
import { open } from "../privacy/sealing.ts";
import { recordAudit, type AuditLine } from "./audit.ts";
import { inTransaction, quoteName } from "./database.ts";
import { rowIdentity } from "./landing/seal.ts";
import type { Vault } from "./vault.ts";

/** Openings of one actor in an hour: enough for a person at work, too few to carry the customers away. */
const MOST_PER_HOUR = 60;
const OPENINGS = ["reveal", "token", "quarantine.show"];
/** Too short to say anything. */
const LEAST_PURPOSE = 8;

const AS_PRIVACY = "begin; set local role privacy";

/**
 * Writes down that something sealed is about to be opened, and commits it: what follows is on record even if it fails.
 * @throws UserError for a purpose that says nothing; CodedError `rate_limited` for too many openings in an hour
 */
export async function recordOpening(pool: pg.Pool, line: AuditLine): Promise<void> {
  if (line.purpose !== undefined && line.purpose.trim().length < LEAST_PURPOSE) {
    throw new UserError(`must say what for, in at least ${LEAST_PURPOSE} letters; it is kept in the audit`, {
      key: "--purpose",
    });
  }
  await inTransaction(
    pool,
    async (client) => {
      // Two openings at once must not both be the last that is free.
      await client.query("select pg_advisory_xact_lock(hashtextextended($1, 5131714))", [line.actor]);
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::integer as count from privacy.audit
         where actor = $1 and action = any($2) and happened_at > now() - interval '1 hour'`,
        [line.actor, OPENINGS],
      );
      if ((rows[0]?.count ?? 0) >= MOST_PER_HOUR) {
        throw new CodedError(
          "rate_limited",
          `${line.actor} has opened sealed data ${MOST_PER_HOUR} times within an hour; wait, or ask another to`,
          { retryable: true },
        );
      }
      await recordAudit(client, line);
    },
    AS_PRIVACY,
  );
}

export interface Revealed {
  customerId: string;
  identifiers: { kind: string; value: string; token: string }[];
  /** Sealed fields by record; a record whose key is gone stays shut. */
  records: { stream: string; recordKey: string; fields: unknown }[];
}

/** Opens what is sealed of one customer, for the caller's memory. The caller has recorded it. @throws UserError for an unknown customer */
export async function revealCustomer(pool: pg.Pool, vault: Vault, customerId: string): Promise<Revealed> {
  return await inTransaction(
    pool,
    async (client) => {
      const { rows: tokens } = await client.query<{ token: string; kind: string }>(
        "select token, kind from core.identifiers where customer_id = $1 order by kind, token",
        [customerId],
      );
      const opened = await vault.openIdentifiers(
        client,
        tokens.map(({ token }) => token),
      );
      const identifiers = tokens.flatMap(({ token, kind }) => {
        const value = opened.get(token)?.canonical;
        return value === undefined ? [] : [{ kind, value, token }];
      });
      const { rows: streams } = await client.query<{ source: string; stream: string }>(
        "select source, stream from ops.streams order by source, stream",
      );
      const records: Revealed["records"] = [];
      for (const { source, stream } of streams) {
        const table = rawTableName(source, stream);
        const { rows } = await client.query<{
          record_key: string;
          content_hash: string;
          sealed: Buffer;
          owner_token: string | null;
        }>(
          `select record_key, content_hash, sealed, owner_token from ${quoteName("raw", table)}
           where sealed is not null and deleted_at is null
             and (owner_token = any($1) or record_key in (select record_key from core.record_owners where customer_id = $2))
           order by record_key`,
          [tokens.map(({ token }) => token), customerId],
        );
        const owners = await vault.openIdentifiers(client, [...new Set(rows.flatMap((row) => row.owner_token ?? []))]);
        for (const row of rows) {
          const key =
            row.owner_token === null
              ? await vault.purposeKey(pool, `stream:${source}.${stream}`)
              : owners.get(row.owner_token)?.key;
          if (!key) continue;
          const text = open(key, rowIdentity(table, row.record_key, row.content_hash), row.sealed).toString("utf8");
          records.push({
            stream: `${source}.${stream}`,
            recordKey: row.record_key,
            fields: JSON.parse(text) as unknown,
          });
        }
      }
      return { customerId, identifiers, records };
    },
    AS_PRIVACY,
  );
}

/** @throws UserError where no person has the id, or it stands for everybody who is not known */
export async function requireCustomer(pool: pg.Pool, customerId: string): Promise<void> {
  const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(customerId);
  const { rowCount } = isUuid
    ? await inTransaction(
        pool,
        (client) =>
          client.query("select from core.people where customer_id = $1 and customer_id <> ops.nobody()", [customerId]),
        AS_PRIVACY,
      )
    : { rowCount: 0 };
  if (!rowCount)
    throw new UserError("is no customer's id; it stands in mart.dim_customers.customer_id", { key: "CUSTOMER" });
}

/**
 * The tokens of a value: one, or several where streams read the kind in different ways (phones of several countries).
 * @throws UserError for a kind that no schema declares, or a value that can't be of the kind; it holds no value
 */
export function tokensOf(project: Project, vault: Vault, kind: string, value: string): string[] {
  const readings = project.sources.flatMap((source) =>
    source.streams.flatMap(({ schema }) =>
      Object.values(schema.properties).flatMap(({ personal, identifier }) =>
        personal && identifier
          ? [{ personal, identifier, country: source.defaultCountry ?? project.defaultCountry }]
          : [],
      ),
    ),
  );
  const known = [...new Set(readings.map(({ identifier }) => identifier))].toSorted();
  if (!known.includes(kind)) {
    throw new UserError(`is no kind of identifier here; the schemas declare ${known.join(", ") || "none"}`, {
      key: kind,
    });
  }
  const tokens = new Set<string>();
  for (const { personal, identifier, country } of readings) {
    const canonical = identifier === kind ? normaliseIdentifier(personal, value, country) : null;
    if (canonical !== null) tokens.add(vault.naming.token(kind, canonical));
  }
  if (tokens.size === 0) throw new UserError(`the value can't be one of this kind`, { key: kind });
  return [...tokens].toSorted();
}
