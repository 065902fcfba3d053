import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import { foldedKind, foldEmail } from "../../privacy/fold-email.ts";
import type { Naming } from "../../privacy/tokens.ts";
import type { Vault } from "../vault.ts";

/** Which identifiers may not be let in again, under one epoch; the values stay in the caller's memory. */
export interface Suppressions {
  /** Whether an identifier is an erased person's; an e-mail address also in any spelling that its mailbox gets. */
  has(kind: string, canonical: string, isEmail: boolean): boolean;
}

/** What suppresses an identifier: its own hash, and of an e-mail address that of its mailbox. */
export function suppressionsOf(naming: Naming, kind: string, canonical: string, isEmail: boolean): Buffer[] {
  const own = naming.suppression(kind, canonical);
  return isEmail ? [own, naming.suppression(foldedKind(kind), foldEmail(canonical))] : [own];
}

/** By what it is decided whom to let in. */
export interface Admission {
  epoch: string;
  suppressions: Suppressions | null;
}
/** The list changes with the epoch alone, so a process reads it once per epoch. */
const known = new WeakMap<Vault, Admission>();

/** What this process has read last, which an erasure may have overtaken; nothing before the first load. */
export function admissionOf(vault: Vault): Admission | undefined {
  return known.get(vault);
}

/**
 * The suppressions under `epoch`, as the caller's transaction sees them; null where nobody was erased yet. Whoever writes
 * personal rows asks first: a list that can't be read, or that was cut short, is an error and never an empty list.
 * @throws CodedError `suppressions_unreadable`; `epoch_conflict` where an erasure has begun since the epoch was read
 */
export async function readSuppressions(
  client: pg.ClientBase,
  vault: Vault,
  epoch: string,
): Promise<Suppressions | null> {
  const before = known.get(vault);
  if (before?.epoch === epoch) return before.suppressions;
  // A new key for tokens moves the epoch too.
  await vault.followTokenKey(client);
  // One statement, so one snapshot of both tables.
  const { rows } = await client
    .query<{ epoch: string; count: string; hashes: string[] | null }>(
      `select e.epoch::text, e.suppressions::text as count,
         (select array_agg(encode(s.hash, 'hex')) from privacy.suppressions as s) as hashes
       from privacy.epoch as e`,
    )
    .catch((error: unknown) => {
      const { code = "" } = error as { code?: string };
      // Only what is wrong with the list itself; a server that is away is tried again as ever.
      if (code.startsWith("42")) throw unreadable();
      throw error;
    });
  const row = rows[0];
  if (!row) throw unreadable();
  if (row.epoch !== epoch) {
    throw new CodedError("epoch_conflict", "an erasure began while records were landing", { retryable: true });
  }
  const hashes = new Set(row.hashes ?? []);
  if (hashes.size !== Number(row.count)) throw unreadable();
  // Keys of people who are erased, and may come back under new ones.
  if (before) vault.forgetIdentifiers();
  const suppressions = hashes.size === 0 ? null : of(vault.naming, hashes);
  known.set(vault, { epoch, suppressions });
  return suppressions;
}

function of(naming: Naming, hashes: ReadonlySet<string>): Suppressions {
  return {
    has: (kind, canonical, isEmail) =>
      suppressionsOf(naming, kind, canonical, isEmail).some((hash) => hashes.has(hash.toString("hex"))),
  };
}

function unreadable(): CodedError {
  return new CodedError(
    "suppressions_unreadable",
    "the list of erased identifiers can't be read whole, so nothing is loaded; restore privacy.suppressions and privacy.epoch from the last backup",
    { retryable: false },
  );
}
