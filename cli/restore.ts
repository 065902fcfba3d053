import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { Client } from "@temporalio/client";
import type { Command } from "commander";
import { CodedError, UserError } from "../domain/errors.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { type BackupFile, openBackupFile } from "../warehouse/backup/file.ts";
import { rebuild } from "../warehouse/backup/rebuild.ts";
import { checkParts, restoreState } from "../warehouse/backup/restore.ts";
import { describeTarget, requireAlone, type Target } from "../warehouse/backup/target.ts";
import { writeBackup } from "../warehouse/backup/write.ts";
import { openPools } from "../warehouse/database.ts";
import { keptFacts } from "../warehouse/erasure/kept-facts.ts";
import { Vault } from "../warehouse/vault.ts";
import { findBackup, requireNewestVault } from "./backup-files.ts";
import { runsInFlight } from "./runs-in-flight.ts";
import { withServers, type GlobalOptions, type Servers } from "./session.ts";
import { progressOf } from "./table-progress.ts";

interface RestoreFlags {
  vault?: string;
  replace?: boolean;
}

export function registerRestore(program: Command): void {
  program
    .command("restore")
    .description("bring back the data of a backup with the newest vault, and build the mart anew")
    .argument("<data>", "the data part of a backup, or a folder, of which the newest is taken")
    .option(
      "--vault <file>",
      "the newest vault part, or a folder, of which the newest is taken; without it, of the data's",
    )
    .option("--replace", "drop what the warehouse holds; its own vault stays, being the newest")
    .action(async (path: string, flags: RestoreFlags, command: Command) => {
      await withServers(command.optsWithGlobals<GlobalOptions>(), (servers) => restore(servers, path, flags));
    });
}

async function restore(servers: Servers, path: string, flags: RestoreFlags): Promise<void> {
  const { settings, project, pool, json } = servers;
  const say = (line: string): void => void (json || console.error(line));
  const keys = keyRingOf(settings);
  const target = await describeTarget(pool);
  if (target === "living" && !flags.replace) {
    throw new UserError("this warehouse is not empty; --replace drops what it holds", { file: settings.home });
  }
  await requireAlone(pool);
  const dataPath = await findBackup(path, "data", project.name);
  say(`Checking ${dataPath}`);
  const data = await openBackupFile(dataPath, "data");
  if (data.manifest.project !== project.name) {
    throw new UserError(`the backup is of the project ${data.manifest.project}, not ${project.name}`, {
      file: dataPath,
    });
  }
  const kept = join(settings.home, "vault-before-restore.miette");
  const vault = await findVault(servers, { target, kept, dataPath, given: flags.vault });
  await checkParts(data, vault, keys);

  const ended = await endRuns(servers);
  const progress = progressOf(json);
  say(`Restoring the data of ${data.manifest.takenAt} with the vault of ${vault.manifest.takenAt}`);
  const lost = await restoreState(pool, {
    url: servers.ownerUrl,
    data,
    vault,
    actor: `os:${userInfo().username}`,
    facts: keptFacts(await servers.graph(), project),
    onTable: (table, rows) => progress.show(`${table} ${rows}`),
  });
  await rm(kept, { force: true });
  const pools = openPools(servers.workerUrl);
  try {
    const vaultNow = await Vault.open(pools.loader, keys);
    await rebuild(pools, vaultNow, await servers.graph(), project, (step) => progress.show(step));
  } catch (error) {
    if (!(error instanceof UserError || error instanceof CodedError)) throw error;
    throw new UserError(`the data are restored, but the mart could not be built: ${error.message}`);
  } finally {
    await Promise.all(Object.values(pools).map((each) => each.end()));
  }
  progress.clear();
  if (json)
    return console.log(
      JSON.stringify({ dataTakenAt: data.manifest.takenAt, vaultTakenAt: vault.manifest.takenAt, lost, ended }),
    );
  if (lost.identifiers > 0) {
    console.log(
      `${lost.identifiers} identifiers were erased after the backup: ${lost.rows} rows were parted from them.`,
    );
  }
  if (ended.length > 0) console.log(`Ended in Temporal, since they worked on what was replaced: ${ended.join(", ")}.`);
  console.log(`Restored, and the mart is built. Schedules come back with miette schedules apply.`);
}

/** The living vault before any file; else the newest file. What a cut-off restore had saved of a living one counts like it. */
async function findVault(
  servers: Servers,
  where: { target: Target; kept: string; dataPath: string; given: string | undefined },
): Promise<BackupFile> {
  const { target, kept, dataPath, given } = where;
  const { name } = servers.project;
  const isKept = target === "unfinished" && existsSync(kept);
  if (target === "living" || isKept) {
    if (given !== undefined) {
      throw new UserError("this warehouse has a vault of its own, which is the newest; leave --vault out", {
        file: given,
      });
    }
    if (!isKept) {
      await mkdir(dirname(kept), { recursive: true });
      const options = { parts: ["vault" as const], project: name, remembered: [], pathOf: () => kept };
      await writeBackup(servers.pool, await Vault.open(servers.pool, keyRingOf(servers.settings)), options);
    }
    return await openBackupFile(kept, "vault");
  }
  const path = await findBackup(given ?? dirname(dataPath), "vault", name);
  await requireNewestVault(path, name);
  return await openBackupFile(path, "vault");
}

/** A sync, build or run that goes on would work on what is no more; a request of a person goes on. */
async function endRuns({ connection, settings }: Servers): Promise<string[]> {
  const client = new Client({ connection, namespace: settings.temporalNamespace });
  const ids = await runsInFlight(client);
  for (const id of ids)
    await client.workflow
      .getHandle(id)
      .terminate("the warehouse was restored")
      .catch(() => undefined);
  return ids;
}
