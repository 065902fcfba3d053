import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { tablesOf } from "../erasure/kept-facts.ts";
import { resolveScope } from "../erasure/scope.ts";
import type { Graph } from "../models/graph.ts";
import { readRequest } from "../requests/store.ts";
import { readSubject, type NamedSubject } from "../requests/subject.ts";
import type { Vault } from "../vault.ts";

/** What is to be kept of one person. */
export interface NewHold {
  named: NamedSubject;
  category: string;
  purpose: string;
  law: string;
  /** Null: until it is released. */
  until: Date | null;
  actor: string;
}

/**
 * Holds a category of one person's records: retention leaves them alone, and an erasure sets them aside. Nothing of what
 * names the person is kept but tokens.
 * @returns the hold's id, and whether anybody is known by what was given
 * @throws UserError where the category is none of the project's, or what was given stands for nobody
 */
export async function addHold(
  pool: pg.Pool,
  vault: Vault,
  project: Project,
  graph: Graph,
  { named, category, purpose, law, until, actor }: NewHold,
): Promise<{ holdId: string; isKnown: boolean }> {
  const streams = project.sources.flatMap((source) => source.streams.map(({ name }) => `${source.name}.${name}`));
  if (!streams.includes(category) && tablesOf(graph, category) === null) {
    throw new UserError(`is no stream and no contract; give one of ${streams.join(", ")}, or a contract as in orders`, {
      key: "--category",
    });
  }
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(purpose)) {
    throw new UserError("must be a word of lower-case letters, digits and underscores, as in tax", { key: "--for" });
  }
  if (law.length === 0 || law.length > 200) {
    throw new UserError("must be a text of 200 characters at the most", { key: "--law" });
  }
  if (until !== null && until.getTime() <= Date.now()) {
    throw new UserError("must be a time that is still to come", { key: "--until" });
  }
  const { tokens, customers, shared } = await resolveScope(pool, vault, readSubject(project, named));
  const [first] = tokens;
  if (first === undefined) {
    throw new UserError(
      shared > 0
        ? "what was given is used by many people or blocked, so it stands for nobody; name the person by another identifier"
        : "what was given names nobody",
      { key: "hold" },
    );
  }
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      "insert into privacy.holds (category, purpose, law, until) values ($1, $2, $3, $4) returning hold_id as id",
      [category, purpose, law, until],
    );
    const hold = rows[0]?.id as string;
    await client.query("insert into privacy.hold_identifiers (hold_id, token) select $1, unnest($2::text[])", [
      hold,
      tokens,
    ]);
    const detail = { hold, category, until: until?.toISOString() ?? null };
    await recordAudit(client, { actor, action: "hold.add", subject: { token: first }, purpose, detail });
    return { holdId: hold, isKnown: customers.length > 0 };
  });
}

/**
 * Ends a hold by hand, or what an erasure has set aside by the id of its request; the erasure is finished by
 * `releaseDue`.
 * @throws UserError where there is none, or it has ended before
 */
export async function releaseHold(pool: pg.Pool, id: string, actor: string): Promise<void> {
  const isId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
  await inTransaction(pool, async (client) => {
    const { rowCount: holds } = isId
      ? await client.query("update privacy.holds set released_at = now() where hold_id = $1 and released_at is null", [
          id,
        ])
      : { rowCount: 0 };
    const { rowCount: records } =
      isId && !holds
        ? await client.query(
            "update privacy.held_records set released_at = now() where request_id = $1 and released_at is null",
            [id],
          )
        : { rowCount: 0 };
    if (!holds && !records) {
      throw new UserError("there is no hold of this id that has not ended; miette hold list shows them", {
        key: "hold",
      });
    }
    await recordAudit(client, { actor, action: "hold.release", detail: { hold: id } });
  });
}

/** A hold by hand, or what an erasure has set aside by a rule. */
export interface StoredHold {
  /** Of the hold, or of the erasure. */
  id: string;
  kind: "by hand" | "erasure";
  category: string;
  purpose: string;
  law: string;
  until: string | null;
  releasedAt: string | null;
  /** Records that an erasure has set aside. */
  records: number;
}

/** All holds, those that have not ended first. */
export async function listHolds(pool: pg.Pool): Promise<StoredHold[]> {
  const { rows } = await pool.query<StoredHold>(
    `select h.hold_id as id, 'by hand' as kind, h.category, h.purpose, h.law, h.until::text as until,
       h.released_at::text as "releasedAt",
       (select count(*)::int from privacy.held_records as r where r.hold_id = h.hold_id) as records
     from privacy.holds as h
     union all
     select request_id, 'erasure', relation, purpose, law, max(until)::text, max(released_at)::text, count(*)::int
     from privacy.held_records where until is not null group by request_id, relation, purpose, law
     order by 7 nulls first, 6 nulls last, 1`,
  );
  return rows;
}

/** @throws UserError where nothing of this request is held */
export async function requireHeld(pool: pg.Pool, requestId: string): Promise<void> {
  await readRequest(pool, requestId);
  const { rowCount } = await pool.query("select from privacy.held_records where request_id = $1 limit 1", [requestId]);
  if (!rowCount) throw new UserError("nothing of this erasure is held", { key: "request" });
}
