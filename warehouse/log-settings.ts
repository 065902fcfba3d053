import type pg from "pg";

/** A setting by which a server writes values of rows, statements or their parameters into its log. */
export interface LogLeak {
  setting: string;
  value: string;
  /** The value under which it writes none. */
  safe: string;
}

/** Order of what `log_min_messages` and `log_min_error_statement` let through, from where on an error of a statement is left out. */
const ABOVE_ERROR = new Set(["log", "fatal", "panic"]);

const STATEMENTS: [setting: string, safe: string, isSafe: (value: string) => boolean][] = [
  ["log_statement", "none", (value) => value === "none" || value === "ddl"],
  ["log_min_duration_statement", "-1", (value) => value === "-1"],
  ["log_min_duration_sample", "-1", (value) => value === "-1"],
  ["log_transaction_sample_rate", "0", (value) => Number(value) === 0],
  ["auto_explain.log_min_duration", "-1", (value) => value === "-1"],
  ["pgaudit.log", "none", (value) => /^(?:\s*(?:none|ddl|role|misc|misc_set)\s*,?)*$/i.test(value)],
  ["debug_print_parse", "off", (value) => value === "off"],
  ["debug_print_rewritten", "off", (value) => value === "off"],
  ["debug_print_plan", "off", (value) => value === "off"],
];

/**
 * What of a server's settings would bring values into its log, as they hold for this session's login. Settings of modules
 * that are not loaded are none. Postgres 18, "Error Reporting and Logging"; auto_explain; pgaudit 18.
 */
export async function findLogLeaks(client: pg.ClientBase | pg.Pool): Promise<LogLeak[]> {
  const names = [
    ...STATEMENTS.map(([name]) => name),
    "log_min_messages",
    "log_min_error_statement",
    "log_error_verbosity",
    "log_parameter_max_length",
    "log_parameter_max_length_on_error",
  ];
  const { rows } = await (client as pg.Pool).query<{ name: string; value: string | null }>(
    "select name, current_setting(name, true) as value from unnest($1::text[]) as name",
    [names],
  );
  const values = new Map(rows.flatMap(({ name, value }) => (value === null || value === "" ? [] : [[name, value]])));
  const leaks: LogLeak[] = [];
  const check = (setting: string, safe: string, isSafe: (value: string) => boolean): void => {
    const value = values.get(setting);
    if (value !== undefined && !isSafe(value)) leaks.push({ setting, value, safe });
  };
  for (const rule of STATEMENTS) check(...rule);
  // Parameters are written with the statements that are.
  if (leaks.length > 0) check("log_parameter_max_length", "0", (value) => /^0\D*$/.test(value));
  if (!ABOVE_ERROR.has(values.get("log_min_messages") ?? "")) {
    // The message of a failed statement quotes the row (DETAIL), and the statement stands beside it.
    check("log_error_verbosity", "terse", (value) => value === "terse");
    check("log_min_error_statement", "panic", (value) => ABOVE_ERROR.has(value));
    check("log_parameter_max_length_on_error", "0", (value) => /^0\D*$/.test(value));
  }
  return leaks;
}

/** One sentence for people; null where nothing leaks. */
export function logWarning(leaks: readonly LogLeak[]): string | null {
  if (leaks.length === 0) return null;
  const found = leaks.map(({ setting, value }) => `${setting} = ${value}`).join(", ");
  const mend = leaks.map(({ setting, safe }) => `${setting} = ${safe}`).join(", ");
  return `The warehouse's server would write values of rows into its log (${found}); set ${mend}.`;
}
