import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatDay, parisDay } from "./calendar.ts";
import { storeFiles, writeFiles } from "./files.ts";
import { generateStore, SEED, type Store } from "./generate.ts";
import { ensureReader, loadedGeneration, loadShop, readerUrl } from "./shop.ts";

/** Raised when the same seed and date make another store, so that an older one is made anew. */
const GENERATOR_VERSION = 1;

interface Generation {
  version: number;
  seed: number;
  /** The day on which the store was made: the last purchase fell on the day before. */
  date: string;
}

/** What the project file's `${…}` need. */
export interface DemoEnvironment {
  MIETTE_DEMO_DATA: string;
  SHOP_DATABASE_URL: string;
}

/**
 * Makes the demo store once: files into `directory`, the shop's database into the server. A second call finds both and
 * changes nothing; a half-made store is made again, and a lost database is loaded from the same generation.
 * @param directory the demo's folder in the home of the installation; its content belongs to the demo
 * @param shopDatabaseUrl the shop's server, as a role that may create databases and roles; its path is not looked at
 * @throws UserError where the server has a database `shop` of somebody else
 */
export async function prepareDemo({
  directory,
  shopDatabaseUrl,
}: {
  directory: string;
  shopDatabaseUrl: string;
}): Promise<{ environment: DemoEnvironment }> {
  const loaded = await loadedGeneration(shopDatabaseUrl);
  await mkdir(directory, { recursive: true });
  const marker = join(directory, "generation.json");
  let generation = await readGeneration(marker);
  let store: Store | undefined;
  if (!generation) {
    generation = { version: GENERATOR_VERSION, seed: SEED, date: formatDay(parisDay(Date.now())) };
    store = generateStore(generation);
    for (const folder of ["web", "reviews", "ads", "newsletter"])
      await rm(join(directory, folder), { recursive: true, force: true });
    await writeFiles(storeFiles(store), directory);
    await writeWhole(marker, `${JSON.stringify(generation)}\n`);
  }
  const password = await readPassword(directory);
  await ensureReader(shopDatabaseUrl, password);
  const name = `${generation.date}, seed ${generation.seed}, version ${generation.version}`;
  if (loaded !== name) await loadShop(store ?? generateStore(generation), shopDatabaseUrl, name);
  return { environment: { MIETTE_DEMO_DATA: directory, SHOP_DATABASE_URL: readerUrl(shopDatabaseUrl, password) } };
}

/** The generation whose files are all there, or null where they have to be made. A power cut may have left the marker empty. */
async function readGeneration(marker: string): Promise<Generation | null> {
  const text = await readIfThere(marker);
  if (!text) return null;
  const generation = JSON.parse(text) as Generation;
  return generation.version === GENERATOR_VERSION ? generation : null;
}

/** The reader's password: made once, readable by its owner alone. */
async function readPassword(directory: string): Promise<string> {
  const path = join(directory, "shop-password");
  const known = await readIfThere(path);
  if (known) return known.trim();
  const password = randomBytes(24).toString("base64url");
  await writeWhole(path, `${password}\n`);
  return password;
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Written beside and renamed, so that a kill leaves the file whole or not there. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
