import { standingQuery } from "../consent/state.ts";

/**
 * A select of `customer_id`: those of `people`, a relation with that column, who may be handed over. They allow the purpose,
 * have refused none of what the law calls the handing over besides, and are not being erased.
 *
 * @param purpose an SQL expression of type text
 * @param countsAs an SQL expression of type text[]: `sale`, `sharing`
 * @param optOut an SQL expression of type text[]: the jurisdictions that let use be without a yes
 */
export function allowedQuery(people: string, purpose: string, countsAs: string, optOut: string): string {
  return `
    select customer_id from (${standingQuery(people, `array[${purpose}]::text[] || ${countsAs}`, optOut)}) as state
    where not exists (select from privacy.leaving_people as leaving where leaving.customer_id = state.customer_id)
    group by customer_id
    having bool_and(case when purpose = ${purpose} then is_allowed else standing in ('granted', 'unknown') end)`;
}
