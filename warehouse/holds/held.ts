import type pg from "pg";
import type { HeldRows } from "../../domain/retention.ts";

/** What of an erased person is still held, and for what. */
export async function readHeld(pool: pg.Pool, requestId: string): Promise<HeldRows[]> {
  const { rows } = await pool.query<HeldRows>(
    `select r.relation, coalesce(h.purpose, r.purpose) as purpose, coalesce(h.law, r.law) as law,
       case when bool_or(h.hold_id is not null and h.until is null) then null else greatest(max(r.until), max(h.until))::text end as until,
       count(*)::int as rows
     from privacy.held_records as r left join privacy.holds as h on h.hold_id = r.hold_id and h.released_at is null
     where r.request_id = $1 group by 1, 2, 3 order by 1, 2`,
    [requestId],
  );
  return rows;
}
