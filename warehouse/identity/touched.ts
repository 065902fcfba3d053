import type { CanonicalRecords } from "../../identity/records.ts";
import { quoteName } from "../database.ts";
import type { ChangeContext } from "../models/relation.ts";
import type { ContractColumns } from "./contracts.ts";
import { FAMILIAR, findFamiliar } from "./familiar.ts";
import { CONFLICTS, HIDDEN, IDENTIFIERS, MERGED_PEOPLE, PEOPLE, RECORD_OWNERS } from "./tables.ts";

/** Above this share of all records, and this many of them, a full computation is the cheaper one. */
const MOST_TOUCHED = 0.25;
const FEW_RECORDS = 10_000;

/** What the last publish says of an identifier. */
export interface PublishedState {
  isPublished: boolean;
  isShared: boolean;
  /** Shared or blocked. */
  isHidden: boolean;
  /** Whether all records that carry it are at hand, so that it can be judged anew. */
  isJudged: boolean;
}

/** What changes of records reach: identifiers, the people of their islands, and those people's records. */
export class Touched {
  readonly #context: ChangeContext;
  readonly #contracts: readonly ContractColumns[];
  /** Quoted names of relations of keys. */
  readonly records = quoteName("build_core", "identity_records");
  /** Records of others that carry a touched identifier which hides. */
  readonly #further = quoteName("build_core", "identity_further");
  #hasFurther = false;
  /** The published owners of the touched records. */
  readonly owned = quoteName("build_core", "identity_owned");
  readonly people: string;
  readonly #identifiers: string;

  constructor(context: ChangeContext, contracts: readonly ContractColumns[]) {
    this.#context = context;
    this.#contracts = contracts;
    this.people = context.touched(PEOPLE.name);
    this.#identifiers = context.touched(IDENTIFIERS.name);
  }

  /** The touched records, and those that carry a touched identifier which hides: a relation for a from clause. */
  get loaded(): string {
    if (!this.#hasFurther) return this.records;
    return `(select record_key from ${this.records} union all select record_key from ${this.#further}) as loaded`;
  }

  /** Takes the changed records, and what they were before. Tells whether they reach anybody but by the familiar ones. */
  async begin(): Promise<boolean> {
    const { client, changes } = this.#context;
    await client.query(`create table ${this.records} (record_key uuid primary key);
      create table ${this.#further} (record_key uuid primary key);
      create table ${this.owned} (record_key uuid, customer_id uuid);
      create table ${this.people} (customer_id uuid primary key);
      create table ${this.#identifiers} (token text primary key)`);
    await findFamiliar(this.#context, this.#contracts);
    const [owners, hidden] = [this.#published(RECORD_OWNERS.name), this.#published(HIDDEN.name)];
    const add = (insert: string) => client.query(`${insert} on conflict do nothing`);
    let isReached = false;
    for (const { relation, tokens, telling } of this.#contracts) {
      const differing = changes(relation, telling);
      if (!differing) continue;
      const changed = `(select record_key from ${differing} as changed
        where not exists (select from ${FAMILIAR} as familiar where familiar.record_key = changed.record_key))`;
      const { rows } = await client.query<{ isAny: boolean }>(
        `with changed as materialized (select distinct record_key from ${changed} as changed),
         come as (insert into ${this.records} select record_key from changed on conflict do nothing)
         select exists (select from changed) as "isAny"`,
      );
      if (!tokens.length || !rows[0]!.isAny) continue;
      isReached = true;
      await add(
        `insert into ${this.people} select distinct customer_id from ${owners}
         where record_key in (select record_key from ${changed})`,
      );
      await add(
        `insert into ${this.#identifiers} select distinct token from ${hidden}
         where record_key in (select record_key from ${changed})`,
      );
    }
    await client.query(`analyze ${this.records}`);
    await client.query(
      `insert into ${this.owned} select record_key, customer_id from ${owners}
       where record_key in (select record_key from ${this.records})`,
    );
    if (changes("ops.blocked_identifiers")) {
      await client.query(
        `insert into ${this.#identifiers}
         select token from ops.blocked_identifiers join ${this.#published(IDENTIFIERS.name)} using (token) where not is_blocked
         union select distinct token from ${this.#published(HIDDEN.name)} as hidden
           join ${this.#published(IDENTIFIERS.name)} using (token)
           where is_blocked and not exists (select from ops.blocked_identifiers as b where b.token = hidden.token)
         on conflict do nothing`,
      );
    }
    if (changes("ops.identity_decisions")) {
      await client.query(
        `insert into ${this.#identifiers} select token from ops.identity_decisions
         union select other_token from ops.identity_decisions on conflict do nothing`,
      );
    }
    return isReached || Boolean(changes("ops.blocked_identifiers") || changes("ops.identity_decisions"));
  }

  /** Adds identifiers; tells whether any of them is new here. */
  async addIdentifiers(tokens: string[]): Promise<boolean> {
    const { rowCount } = await this.#context.client.query(
      `insert into ${this.#identifiers} select unnest($1::text[]) on conflict do nothing`,
      [tokens],
    );
    return Boolean(rowCount);
  }

  /** Goes from identifiers to people, to their whole islands and to all records of these. False if that is too much. */
  async spread(): Promise<boolean> {
    const { client } = this.#context;
    const [identifiers, owners, conflicts, hidden] = [IDENTIFIERS, RECORD_OWNERS, CONFLICTS, HIDDEN].map(({ name }) =>
      this.#published(name),
    );
    // An identifier that has come, or come back, meets the one that it was merged with by hand.
    await client.query(
      `insert into ${this.#identifiers}
       select other_token from ops.identity_decisions join ${this.#identifiers} using (token) where decision = 'merge'
       union select d.token from ops.identity_decisions as d join ${this.#identifiers} as i on i.token = d.other_token
         where decision = 'merge'
       on conflict do nothing`,
    );
    await client.query(`analyze ${this.#identifiers}`);
    await client.query(
      `insert into ${this.people} select distinct customer_id from ${identifiers}
       where token in (select token from ${this.#identifiers}) and customer_id <> ops.nobody() on conflict do nothing`,
    );
    await client.query(
      `with recursive island (customer_id) as (
         select customer_id from ${this.people}
         union
         select case when conflict.customer_id = island.customer_id then other_customer_id else conflict.customer_id end
         from island join ${conflicts} as conflict
           on conflict.customer_id = island.customer_id or conflict.other_customer_id = island.customer_id
       )
       insert into ${this.people} select customer_id from island on conflict do nothing`,
    );
    await client.query(`analyze ${this.people}`);
    await client.query(
      `with met as (
         delete from ${FAMILIAR} where customer_id in (select customer_id from ${this.people}) returning record_key
       ),
       come as (
         insert into ${this.owned} select record_key, customer_id from ${owners} as owner
         where customer_id in (select customer_id from ${this.people})
           and not exists (select from ${this.records} as record where record.record_key = owner.record_key)
         returning record_key
       )
       insert into ${this.records} select record_key from met union all select record_key from come order by record_key`,
    );
    const further = await client.query(
      `insert into ${this.#further} select distinct record_key from ${hidden} as hidden
       where token in (select token from ${this.#identifiers})
         and not exists (select from ops.blocked_identifiers as blocked where blocked.token = hidden.token)
         and not exists (select from ${this.records} as record where record.record_key = hidden.record_key)
       on conflict do nothing`,
    );
    if (further.rowCount) this.#hasFurther = true;
    await client.query(`analyze ${this.records}, ${this.#further}, ${this.owned}`);
    const { rows } = await client.query<{ loaded: number; owned: number }>(
      `select (select count(*) from ${this.loaded})::float8 as loaded, reltuples::float8 as owned
       from pg_class where oid = $1::regclass`,
      [owners],
    );
    const { loaded, owned } = rows[0]!;
    return loaded <= Math.max(FEW_RECORDS, owned * MOST_TOUCHED);
  }

  /** What the last publish says of each identifier of the records. */
  async readStates({ kindOf, token }: CanonicalRecords): Promise<PublishedState[]> {
    const isNew: PublishedState = { isPublished: false, isShared: false, isHidden: false, isJudged: true };
    const states = Array.from(kindOf, () => isNew);
    const positions = new Map<string, number>();
    for (const i of kindOf.keys()) positions.set(token(i).toString("latin1"), i);
    const { rows } = await this.#context.client.query<{ token: string } & Omit<PublishedState, "isPublished">>(
      `select token, is_shared as "isShared", is_shared or is_blocked as "isHidden",
         token in (select token from ${this.#identifiers}) or customer_id in (select customer_id from ${this.people})
           as "isJudged"
       from ${this.#published(IDENTIFIERS.name)} where token = any($1)`,
      [[...positions.keys()]],
    );
    for (const { token: name, ...state } of rows) states[positions.get(name)!] = { isPublished: true, ...state };
    return states;
  }

  /**
   * Leaves out loaded records of people whose island is not touched; the others are the touched ones. Tells whether those
   * are all.
   * @param before what is published of the identifiers of the records
   */
  async settle(records: CanonicalRecords, before: readonly PublishedState[]): Promise<boolean> {
    if (!this.#hasFurther) return true;
    const { client } = this.#context;
    // Whose all are hidden or new is nobody's yet, or has its owner from the order it refers to.
    const { rowCount } = await client.query(
      `with own as (
         delete from ${this.#further} where record_key = any ($1::uuid[]) returning record_key
       ),
       come as (
         insert into ${this.owned} select record_key, customer_id from ${this.#published(RECORD_OWNERS.name)} join own using (record_key)
       )
       insert into ${this.records} select record_key from own`,
      [withoutVisible(records, before)],
    );
    if (rowCount) await client.query(`analyze ${this.records}`);
    return !(await client.query(`select from ${this.#further} limit 1`)).rowCount;
  }

  /** Names the published rows that may be others now, and leaves out owners who are still the same. */
  async finish(): Promise<void> {
    const { client, output, touched } = this.#context;
    const isTouched = `customer_id in (select customer_id from ${this.people})`;
    await client.query(
      `insert into ${this.#identifiers} select token from ${this.#published(IDENTIFIERS.name)} where ${isTouched}
       on conflict do nothing`,
    );
    const [now, hidden] = [output(IDENTIFIERS.name), this.#published(HIDDEN.name)];
    const isElsewhere = (alias: string) =>
      `not exists (select from ${now} as now where now.token = ${alias}.token)
       and exists (select from ${hidden} as hidden where hidden.token = ${alias}.token
         and not exists (select from ${this.records} as record where record.record_key = hidden.record_key))`;
    // What is blocked is not judged, so that its records are not looked at: of a shared one it is enough to say so.
    await client.query(
      `insert into ${now} (token, kind, customer_id, is_shared, is_blocked)
       select token, kind, customer_id, false, true from ${this.#published(IDENTIFIERS.name)} as shared
       where is_shared and token in (select token from ${this.#identifiers})
         and token in (select token from ops.blocked_identifiers) and ${isElsewhere("shared")}`,
    );
    // A shared or blocked identifier that only untouched records carry stays as it is.
    await client.query(`delete from ${this.#identifiers} as touched where ${isElsewhere("touched")}`);
    const keys = (table: { name: string; key: string[] }, where: string) =>
      client.query(
        `create table ${touched(table.name)} as select ${table.key.map((name) => quoteName(name)).join(", ")}
         from ${this.#published(table.name)} where ${where}`,
      );
    await keys(HIDDEN, `record_key in (select record_key from ${this.records})`);
    for (const table of [MERGED_PEOPLE, CONFLICTS]) await keys(table, isTouched);
    const same = `now.record_key = owned.record_key and now.customer_id = owned.customer_id`;
    await client.query(
      `create table ${touched(RECORD_OWNERS.name)} as select record_key from ${this.owned} as owned
       where not exists (select from ${output(RECORD_OWNERS.name)} as now where ${same})`,
    );
    await client.query(`delete from ${output(RECORD_OWNERS.name)} as now using ${this.owned} as owned where ${same}`);
    await client.query(`drop table ${this.records}, ${this.#further}, ${this.owned}`);
  }

  #published(relation: string): string {
    const name = this.#context.published(relation);
    if (!name) throw new Error(`${relation} was never published`);
    return name;
  }
}

/** Keys of records that carry no identifier which was published and neither shared nor blocked. */
function withoutVisible(
  { offsets, identifiers, recordKey }: CanonicalRecords,
  before: readonly PublishedState[],
): string[] {
  const isVisible = (identifier: number) => before[identifier]!.isPublished && !before[identifier]!.isHidden;
  const keys: string[] = [];
  for (let record = 0; record + 1 < offsets.length; record++) {
    if (!identifiers.subarray(offsets[record], offsets[record + 1]).some(isVisible))
      keys.push(recordKey(record).toString("hex"));
  }
  return keys;
}
