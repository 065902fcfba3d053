import { CommanderError } from "commander";
import { CodedError, UserError, UserErrors } from "../domain/errors.ts";
import { isGone } from "../warehouse/away.ts";

/** What `--json` prints of an error on standard error. */
interface ErrorLine {
  /** `user_error` for what a person has to mend, `usage` for a wrong command line, else the code of the failure. */
  code: string;
  message: string;
  file?: string;
  key?: string;
  line?: number;
}

/**
 * Tells an error on standard error: in sentences, or as `{"error": …}`, with `errors` beside where there are several.
 * @returns the exit code: 2 where a person has to mend something, 1 where the world is at fault
 */
export function reportError(thrown: unknown, json: boolean): number {
  const error = isGone(thrown) ? unavailable() : thrown;
  // Commander has printed its own sentence, or the help that was asked for.
  if (error instanceof CommanderError && (error.exitCode === 0 || !json)) return error.exitCode === 0 ? 0 : 2;
  const isPersons = error instanceof UserError || error instanceof CommanderError;
  if (json) {
    const several = error instanceof UserErrors ? { errors: error.errors.map(lineOf) } : {};
    console.error(JSON.stringify({ error: lineOf(error), ...several }));
  } else if (isPersons || error instanceof CodedError) console.error(error.message);
  else console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return isPersons ? 2 : 1;
}

/** In place of the driver's own, which names no warehouse and no mend. */
function unavailable(): CodedError {
  const message =
    "the warehouse can't be reached or ended the connection, as when it restarts; miette status tells whether it is back, then try again";
  return new CodedError("warehouse_unavailable", message, { retryable: true });
}

function lineOf(error: unknown): ErrorLine {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UserErrors) return { code: "user_error", message, ...error.errors[0]?.place };
  if (error instanceof UserError) return { code: "user_error", message, ...error.place };
  if (error instanceof CommanderError) return { code: "usage", message: message.replace(/^error: /, "") };
  return { code: error instanceof CodedError ? error.code : "internal", message };
}
