import pg, { type ClientBase } from "pg";
import { CodedError, UserError, UserErrors } from "../../domain/errors.ts";
import { CONTRACT_TYPES, type Contract } from "../contracts.ts";
import { quoteName } from "../database.ts";
import { inputName, quoteRelation, type Build } from "./build.ts";
import { buildName, readShapes, type Shape } from "./catalog.ts";
import type { ContractStep } from "./steps.ts";
import { statementError } from "./sql-errors.ts";

type Member = ContractStep["members"][number];

/** Throws UserErrors where a staging model lacks a column of its contract or gives it another type. */
export function checkMember(contract: Contract, member: Member, shape: Shape | undefined): void {
  const errors: UserError[] = [];
  const place = { file: member.file };
  const types = new Map(shape?.columns.map(({ name, type }) => [name, type.replace(/\(.*?\)/, "")]));
  const asked = [
    { name: "record_key", type: "uuid" as const },
    { name: "deleted_at", type: "timestamptz" as const },
    ...contract.columns.filter(({ name, optional }) => !optional || types.has(name)),
  ];
  for (const { name, type } of asked) {
    const actual = types.get(name);
    if (actual === CONTRACT_TYPES[type]) continue;
    errors.push(
      new UserError(
        actual === undefined
          ? `lacks column ${name} (${type}) of contract ${contract.name}; add it, or null::${type} as ${name}.`
          : `column ${name} is ${actual}, but contract ${contract.name} asks for ${type}; write ::${type}.`,
        place,
      ),
    );
  }
  const asksFor = new Set(asked.map((column) => column.name));
  for (const [name, type] of types) {
    if (!asksFor.has(name) && name.endsWith("_token") && type !== "text") {
      errors.push(new UserError(`column ${name} is ${type}, but a token is text; write ::text.`, place));
    }
  }
  if (errors.length) throw new UserErrors(errors);
}

/**
 * Fills `build_core.<contract>` with the live records of all its staging models; an empty table where there are none.
 * @returns its rows
 */
export async function computeContract(client: ClientBase, build: Build, step: ContractStep): Promise<number> {
  const query = await contractQuery(client, build, step);
  try {
    const { rowCount } = await client.query(`create table ${quoteRelation(buildName(step.name))} as ${query}`);
    return rowCount ?? 0;
  } catch (error) {
    throw statementError(error, { file: step.members.map((member) => member.file).join(", ") || step.file });
  }
}

/** The live records of all staging models of a contract, in its columns; no row where it has none. */
export async function contractQuery(client: ClientBase, build: Build, step: ContractStep): Promise<string> {
  const { contract, members } = step;
  const names = members.map((member) => inputName(build, member.relation));
  const shapes = await readShapes(client, ["staging", "build_staging"], names);
  const tokens = new Set<string>();
  for (const shape of shapes.values()) {
    for (const { name } of shape.columns) {
      if (name.endsWith("_token") && !contract.columns.some((column) => column.name === name)) tokens.add(name);
    }
  }
  const columns = [...contract.columns, ...[...tokens].sort().map((name) => ({ name, type: "text" as const }))];
  const parts = members.map((member, i) => {
    const has = new Set(shapes.get(names[i]!)?.columns.map((column) => column.name));
    const values = columns.map(
      ({ name, type }) => `${has.has(name) ? quoteName(name) : "null"}::${type} as ${quoteName(name)}`,
    );
    return `select record_key, ${pg.escapeLiteral(member.source)}::text as source, ${values.join(", ")}
      from ${quoteRelation(names[i]!)} where deleted_at is null`;
  });
  const empty = `select null::uuid as record_key, null::text as source,
    ${columns.map(({ name, type }) => `null::${type} as ${quoteName(name)}`).join(", ")} where false`;
  return parts.join("\nunion all\n") || empty;
}

/** Throws a CodedError that names the staging model whose records lack a required value, where that was the failure. */
export async function explainNull(client: ClientBase, build: Build, step: ContractStep, error: unknown): Promise<void> {
  if (!(error instanceof pg.DatabaseError) || error.code !== "23502" || !error.column) return;
  for (const member of step.members) {
    const { rowCount } = await client.query(
      `select from ${quoteRelation(inputName(build, member.relation))}
       where deleted_at is null and ${quoteName(error.column)} is null limit 1`,
    );
    if (!rowCount) continue;
    const mend = "give it a value or leave those records out";
    throw new CodedError(
      "model_failed",
      `${member.file}: ${error.column} is null in some records, but contract ${step.contract.name} requires it; ${mend}.`,
      { retryable: false },
    );
  }
}
