import { quoteName } from "../../database.ts";
import type { Values } from "./changes.ts";

/** Conditions on columns, and the parameters that they take. */
export class Parameters {
  readonly values: (readonly string[])[] = [];

  /**
   * `range.order_id = any ($1::uuid[])`: an array, not a join, since Postgres moves it below unions, views and grouping.
   */
  among(range: string, columns: readonly string[], typeOf: (column: string) => string, values: Values): string {
    const arrays = this.#arrays(columns, typeOf, values);
    const names = columns.map((name) => `${range}.${quoteName(name)}`);
    if (names.length === 1) return `${names[0]} = any (${arrays[0]})`;
    return `(${names.join(", ")}) in (select * from unnest(${arrays.join(", ")}))`;
  }

  /** The same for a table's key, of the values alone that `built` has no row of: what came again is not looked up. */
  gone(
    range: string,
    key: readonly string[],
    typeOf: (column: string) => string,
    values: Values,
    built: string,
  ): string {
    const arrays = this.#arrays(key, typeOf, values);
    const names = key.map((name) => quoteName(name));
    const isAgain = names.map((name) => `again.${name} = asked.${name}`).join(" and ");
    const gone = `select * from unnest(${arrays.join(", ")}) as asked (${names.join(", ")})
      where not exists (select from ${built} as again where ${isAgain})`;
    // Most often none has gone: as an array, that is known before the table is read.
    if (names.length === 1) return `${range}.${names[0]} = any (array(${gone}))`;
    return `(${names.map((name) => `${range}.${name}`).join(", ")}) in (${gone})`;
  }

  #arrays(columns: readonly string[], typeOf: (column: string) => string, values: Values): string[] {
    return columns.map((name, i) => `$${this.#place(values.columns[i]!)}::${withoutModifier(typeOf(name))}[]`);
  }

  #place(values: readonly string[]): number {
    const place = this.values.indexOf(values);
    return place === -1 ? this.values.push(values) : place + 1;
  }
}

/** A value that is cut to a modifier (`numeric(12,2)`) could meet another than its own. */
export function withoutModifier(type: string): string {
  // By these names alone the two types have a modifier of 1.
  if (/^character(?! varying)/.test(type)) return "bpchar";
  if (/^bit(?! varying)/.test(type)) return "varbit";
  return type.replace(/\([^)]*\)/, "");
}
