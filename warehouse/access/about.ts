import type pg from "pg";
import type { Project } from "../../domain/project.ts";
import { OPT_OUT_JURISDICTIONS } from "../../domain/consent.ts";
import { standingQuery } from "../consent/state.ts";
import type { Scope } from "../erasure/scope.ts";
import type { Graph } from "../models/graph.ts";
import type { Vault } from "../vault.ts";
import type { SubjectRows } from "./subject-rows.ts";

/** Everything that a person is to be told beside the data themselves (GDPR article 15(1), CCPA § 1798.110). */
export interface About {
  format: "miette access 1";
  request: string;
  kind: string;
  made_at: string;
  identifiers: { kind: string; value: string; known_since: string | null }[];
  purposes: string[];
  /** Who has sent what, by source. */
  sources: { source: string; streams: string[]; categories: string[] }[];
  /** Who was told: by name. */
  recipients: { recipient: string; audience: string; purpose: string; fields: string[]; state: string; at: string }[];
  retention: { data: string; kept: string }[];
  consent: { purpose: string; standing: string; allowed: boolean; jurisdiction: string | null }[];
  /** What was said, the newest first. */
  ledger: Record<string, unknown>[];
  /** Sets of customers that the person is in. */
  segments: { segment: string; description: string; since: string }[];
  /** How scores and segments are made, by relation. */
  derived: { relation: string; what: string; made_of: string[] }[];
  /** Every relation that holds something of the person. */
  places: { relation: string; rows: number; kind: SubjectRows["kind"] }[];
}

/** Beside the project's rules. */
const RETENTION = [
  { data: "What else sources have sent, and what is made of it", kept: "until it is erased" },
  {
    data: "What was said about the use of data",
    kept: "without an end, as proof; without the person once they are erased",
  },
  { data: "Archives like this one", kept: "until they are taken, 30 days at the most" },
];

export async function readAbout(
  client: pg.ClientBase,
  vault: Vault,
  input: {
    requestId: string;
    kind: string;
    project: Project;
    graph: Graph;
    scope: Scope;
    found: readonly SubjectRows[];
  },
): Promise<About> {
  const { requestId, kind, project, graph, scope, found } = input;
  const rowsOf = async <T>(sql: string, values: unknown[]): Promise<T[]> =>
    (await client.query(sql, values)).rows as T[];
  const has = async (relation: string): Promise<boolean> =>
    (await rowsOf<{ has: boolean }>("select to_regclass($1) is not null as has", [relation]))[0]?.has ?? false;
  const opened = await vault.openIdentifiers(client, scope.tokens);
  const known = await rowsOf<{ token: string; kind: string; since: string }>(
    "select token, kind, created_at::text as since from vault.identifiers where token = any($1) order by kind, token",
    [scope.tokens],
  );
  const recipients = await rowsOf<About["recipients"][number]>(
    `select recipient, audience, purpose, fields, state, claimed_at::text as at from privacy.recipients
     where customer_id = any($1::uuid[]) order by claimed_at desc, recipient`,
    [scope.customers],
  );
  const ledger = await rowsOf<Record<string, unknown> & { purpose: string }>(
    `select occurred_at::text as occurred_at, choice, is_given, purpose, source, notice_version, jurisdiction, expires_at::text as expires_at
     from privacy.consent_events where event_id in (select event_id from privacy.consent_identifiers where token = any($1))
     order by occurred_at desc, event_id desc`,
    [scope.tokens],
  );
  const isBuilt = (await has("mart.dim_segments")) && (await has("mart.fct_segment_memberships"));
  const segments = isBuilt
    ? await rowsOf<About["segments"][number] & { consent: string | null }>(
        `select m.segment, s.description, s.consent, lower(m.valid)::text as since from mart.fct_segment_memberships as m
         join mart.dim_segments as s on s.segment = m.segment
         where m.customer_id = any($1::uuid[]) and upper_inf(m.valid) order by m.segment`,
        [scope.customers],
      )
    : [];
  const purposes = new Set<string>();
  // A message was in no audience: nobody is asked for a consent to it.
  for (const { purpose } of [...recipients.filter(({ audience }) => audience !== ""), ...ledger])
    if (purpose !== "*") purposes.add(purpose);
  for (const { consent } of segments) if (consent !== null) purposes.add(consent);
  const consent =
    scope.customers.length > 0 && purposes.size > 0 && (await has("core.identifiers"))
      ? await rowsOf<About["consent"][number]>(
          `select purpose, standing, is_allowed as allowed, jurisdiction
           from (${standingQuery("(select unnest($1::uuid[]) as customer_id)", "$2::text[]", "$3::text[]")}) as state
           where exists (select from core.people as p where p.customer_id = state.customer_id) order by purpose`,
          [scope.customers, [...purposes], OPT_OUT_JURISDICTIONS],
        )
      : [];
  const relations = new Set(found.map(({ relation }) => relation.replace(/__history$/, "")));
  return {
    format: "miette access 1",
    request: requestId,
    kind,
    made_at: new Date().toISOString(),
    identifiers: known.flatMap(({ token, kind: each, since }) => {
      const value = opened.get(token)?.canonical;
      return value === undefined ? [] : [{ kind: each, value, known_since: since }];
    }),
    purposes: [...purposes].toSorted(),
    sources: project.sources.flatMap(({ name, streams }) => {
      const held = streams.filter((stream) => relations.has(`raw.${name}__${stream.name}`));
      const categories = new Set(
        held.flatMap(({ schema }) => Object.values(schema.properties).flatMap(({ personal }) => personal ?? [])),
      );
      return held.length === 0
        ? []
        : [{ source: name, streams: held.map((stream) => stream.name), categories: [...categories].toSorted() }];
    }),
    recipients,
    retention: [
      ...project.retention.map(({ category, keep, from }) => ({
        data: category,
        kept: `${keep} from ${from ?? "landing"} on`,
      })),
      ...project.holds.map(({ category, keep, from, law }) => ({
        data: category,
        kept: `${keep} from ${from ?? "landing"} on, since a law asks for it: ${law}`,
      })),
      ...RETENTION,
    ],
    consent,
    ledger,
    segments: segments.map(({ segment, description, since }) => ({ segment, description, since })),
    derived: found
      .filter((each) => each.kind === "derived")
      .map(({ relation }) => ({
        relation,
        what: graph.specs.get(relation)?.grain ?? "",
        made_of: streamsBehind(graph, relation),
      })),
    places: found.map(({ relation, rows, kind: each }) => ({ relation, rows, kind: each })),
  };
}

/** The streams that a relation is made of, through all that lies between. */
function streamsBehind(graph: Graph, relation: string): string[] {
  const streams = new Set<string>();
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    if (name.startsWith("raw.")) streams.add(name.slice(4).replace("__", "."));
    for (const input of graph.makers.get(name)?.inputs ?? []) visit(input);
  };
  visit(relation);
  return [...streams].toSorted();
}
