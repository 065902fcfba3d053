import type { ClientBase } from "pg";
import { UserError } from "../domain/errors.ts";
import type { Goal } from "../domain/project.ts";
import { inputsOf, loadMartSelect, settingsOf, textFor, type MartSelect } from "./models/mart-select.ts";
import type { ComputeContext, ModelNode, RelationSpec } from "./models/relation.ts";
import { statementError } from "./models/sql-errors.ts";

const GOALS: RelationSpec = {
  name: "mart.goals",
  grain: "One row per goal of miette.yaml: where it stands today.",
  materialize: "table",
  key: ["goal"],
  follows: [],
  notNull: ["measure", "direction", "target", "by_date", "started_on", "status", "is_met"],
  foreignKeys: [],
  columns: {
    goal: "Name of the goal",
    measure: "The select that measures it",
    direction: "at_least: the value is to reach the target; at_most: it is to stay within it",
    target: "The number to reach, or to stay within",
    by_date: "The day by which to reach it",
    value: "What the select returned last; from the day after by_date on, what it returned last until by_date",
    started_on: "The day from which the pace is reckoned: the goal's start, or the first day on which it was measured",
    start_value: "The value on that day",
    pace: "Change of the value per day since then; null on the first day",
    expected: "The value on by_date if the pace lasts",
    status:
      "met: the value is at the target; on track: the expected value is; behind: neither is, or there is no pace yet; missed: by_date has passed without it",
    is_met: "Whether the value is at the target",
  },
};

const VALUES: RelationSpec = {
  name: "mart.goal_values",
  grain: "One row per goal and day on which it was measured.",
  materialize: "table",
  key: ["goal", "date"],
  follows: [],
  notNull: ["value"],
  foreignKeys: [{ columns: ["goal"], references: GOALS.name }],
  columns: {
    goal: "Name of the goal",
    date: "The day, in the project's time zone",
    value: "What the goal's select returned in the day's last build",
  },
};

/** int8, int2, int4, float4, float8, numeric. */
const NUMBERS = new Set([20, 21, 23, 700, 701, 1700]);

/** Parses the goals' selects. Throws UserErrors that point into miette.yaml. */
export function loadGoal(goal: Goal): { goal: Goal; select: MartSelect } {
  const { file = "miette.yaml" } = goal.place;
  const select = loadMartSelect(
    { path: "miette.yaml", displayFile: file, text: goal.measure, place: goal.place },
    goal.purpose ?? null,
  );
  const { columns, isComplete } = select.output;
  if (isComplete && columns.length !== 1) {
    throw new UserError(`returns ${columns.length} columns; a goal's select returns one number.`, goal.place);
  }
  return { goal, select };
}

/**
 * Measures the goals and keeps their values day by day, which is state: it survives from publish to publish. A goal whose
 * select became another begins anew, since the older values are of something else.
 */
export function goalsNode(goals: readonly { goal: Goal; select: MartSelect }[]): ModelNode {
  const selects = goals.map(({ select }) => select);
  const declared = goals.map(({ goal }) => ({
    goal: goal.name,
    measure: goal.measure.replace(/\s+/g, " ").trim(),
    direction: goal.direction,
    target: goal.target,
    by_date: goal.by,
    start_date: goal.start?.date ?? null,
    start_value: goal.start?.value ?? null,
  }));
  return {
    name: "goals",
    inputs: inputsOf(selects),
    outputs: [GOALS, VALUES],
    remembers: [GOALS.name, VALUES.name],
    selects,
    settings: goals.length ? ["as_of", "time_zone", ...settingsOf(selects)] : [],
    version: JSON.stringify(["1", declared]),
    async compute(context) {
      const { client } = context;
      const measured = [];
      for (const { goal, select } of goals)
        measured.push({ goal: goal.name, value: await measure(context, goal, select) });
      const values = await keepValues(context, JSON.stringify(declared), JSON.stringify(measured));
      await client.query(`create table ${context.output(GOALS.name)} (goal text, measure text, direction text,
        target numeric, by_date date, value numeric, started_on date, start_value numeric, pace numeric,
        expected numeric, status text, is_met boolean)`);
      const { rowCount } = await client.query(
        `insert into ${context.output(GOALS.name)} ${goalRows(context.output(VALUES.name))}`,
        [JSON.stringify(declared), JSON.stringify(measured)],
      );
      return { [GOALS.name]: rowCount ?? 0, [VALUES.name]: values };
    },
  };
}

/** The one number of a goal's select; null where it returns null or no finite number. */
async function measure(context: ComputeContext, goal: Goal, select: MartSelect): Promise<string | null> {
  const { client } = context;
  const sql = textFor(select, context);
  const fail = (mend: string) => new UserError(mend, goal.place);
  // A cursor, so that a select that forgets to count does not bring a table into memory.
  const { fields, rows } = await fetchTwo(client, sql).catch((error: unknown) => {
    const { file = "miette.yaml", line, key } = goal.place;
    throw statementError(error, { file: `${file}:${line} ${key}`, place: goal.place });
  });
  if (fields.length !== 1) throw fail(`returns ${fields.length} columns; a goal's select returns one number.`);
  if (!NUMBERS.has(fields[0]!.dataTypeID)) throw fail("returns no number; a goal's select returns one number.");
  if (rows.length !== 1) {
    throw fail(`returns ${rows.length ? "more than one row" : "no row"}; a goal's select returns one number.`);
  }
  const [value] = rows[0] as [string | number | null];
  return value === null || !Number.isFinite(Number(value)) ? null : String(value);
}

async function fetchTwo(client: ClientBase, sql: string) {
  await client.query(`declare goal_measure no scroll cursor for\n${sql}\n`);
  const result = await client.query<unknown[]>({ text: "fetch 2 from goal_measure", rowMode: "array" });
  await client.query("close goal_measure");
  return result;
}

async function keepValues(context: ComputeContext, declared: string, measured: string): Promise<number> {
  const { client } = context;
  const target = context.output(VALUES.name);
  await client.query(`create table ${target} (goal text, date date, value numeric)`);
  const [goals, values] = [context.published(GOALS.name), context.published(VALUES.name)];
  let kept = 0;
  if (goals && values) {
    const { rowCount } = await client.query(
      `insert into ${target}
       select v.goal, v.date, v.value from ${values} as v
       join ${goals} as g on g.goal = v.goal
       join jsonb_to_recordset($1::jsonb) as d (goal text, measure text) on d.goal = g.goal and d.measure = g.measure
       where v.date <> ${TODAY}`,
      [declared],
    );
    kept = rowCount ?? 0;
  }
  const { rowCount } = await client.query(
    `insert into ${target}
     select m.goal, ${TODAY}, m.value from jsonb_to_recordset($1::jsonb) as m (goal text, value numeric)
     where m.value is not null`,
    [measured],
  );
  return kept + (rowCount ?? 0);
}

const TODAY = "(ops.as_of() at time zone ops.time_zone())::date";

function goalRows(values: string): string {
  const atTarget = (value: string) =>
    `case direction when 'at_most' then ${value} <= target else ${value} >= target end`;
  return `
    with declared as (
      select d.*, ${TODAY} as today from jsonb_to_recordset($1::jsonb) as d (goal text, measure text, direction text,
        target numeric, by_date date, start_date date, start_value numeric)
    ),
    standing as (
      select d.goal, d.measure, d.direction, d.target, d.by_date, d.today,
        case when d.today > d.by_date then coalesce(last.value, m.value) else m.value end as value,
        coalesce(d.start_date, first.date, d.today) as started_on,
        case when d.start_date is null then first.value else d.start_value end as start_value,
        least(d.today, d.by_date) as measured_on
      from declared as d
      join jsonb_to_recordset($2::jsonb) as m (goal text, value numeric) on m.goal = d.goal
      left join lateral (select v.date, v.value from ${values} as v where v.goal = d.goal order by v.date limit 1)
        as first on true
      left join lateral (select v.value from ${values} as v where v.goal = d.goal and v.date <= d.by_date
        order by v.date desc limit 1) as last on true
    ),
    paced as (
      select *, (value - start_value) / nullif(greatest(measured_on - started_on, 0), 0) as pace from standing
    ),
    forecast as (
      select *, value + pace * (by_date - measured_on) as expected from paced
    ),
    judged as (
      select *, coalesce(${atTarget("value")}, false) as is_met, coalesce(${atTarget("expected")}, false) as will_be_met
      from forecast
    )
    select goal, measure, direction, target, by_date, value, started_on, start_value, pace, expected,
      case when is_met then 'met' when today > by_date then 'missed' when will_be_met then 'on track' else 'behind' end,
      is_met
    from judged`;
}
