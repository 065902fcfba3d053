import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { SEARCH_ATTRIBUTES } from "../stack/temporal.ts";

const run = promisify(execFile);

interface Service {
  image: string;
  ports?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  networks?: string[];
  volumes?: string[];
  healthcheck?: { test?: string[]; disable?: boolean };
  restart?: string;
  depends_on?: Record<string, { condition: string }>;
  deploy?: { replicas?: number; resources?: { limits?: { cpus?: string; memory?: string } } };
  security_opt?: string[];
  user?: string;
  privileged?: boolean;
}

const text = await readFile(join(PACKAGE_DIRECTORY, "docker-compose.yml"), "utf8");
const { services, secrets, networks } = parse(text, { merge: true }) as {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  networks: Record<string, unknown>;
};
const all = Object.entries(services);

/** What runs to its end before others start. */
const JOBS = new Set(
  all.flatMap(([, { depends_on }]) =>
    Object.entries(depends_on ?? {}).flatMap(([name, { condition }]) =>
      condition === "service_completed_successfully" ? [name] : [],
    ),
  ),
);

describe("docker-compose.yml", () => {
  test("holds Postgres, Temporal with its schema, namespace and UI, and workers", () => {
    expect(Object.keys(services).toSorted()).toEqual(
      ["postgres", "setup", "temporal", "temporal-namespace", "temporal-schema", "temporal-ui", "worker"].toSorted(),
    );
    expect(services["worker"]?.deploy?.replicas).toBeGreaterThan(1);
  });

  test.each(all)("%s: its ports are on loopback alone", (_name, { ports = [] }) => {
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  test.each(all)("%s: its image is pinned to a version", (_name, { image }) => {
    expect(image).toMatch(/^[\w./-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
  });

  test.each(all)("%s: secrets come by file", (_name, { environment = {}, secrets: used = [] }) => {
    for (const [key, value] of Object.entries(environment)) {
      if (/PASSWORD|SECRET|TOKEN|KEY(?!_FOLDER)|DATABASE_URL/.test(key)) {
        expect(key).toMatch(/_FILE$/);
        expect(value).toMatch(/^\/run\/secrets\/\w+$/);
        expect(used).toContain(value.replace("/run/secrets/", ""));
      }
      expect(String(value)).not.toMatch(/:\/\/[^/]*:[^/]*@/);
    }
    for (const name of used) expect(secrets[name]?.file).toBe(`./deploy/secrets/${name}`);
  });

  test.each(all)("%s: is limited, restarted, and gains no privileges", (name, service) => {
    expect(service.deploy?.resources?.limits).toMatchObject({ cpus: expect.any(String), memory: expect.any(String) });
    expect(service.restart).toBe(JOBS.has(name) ? "on-failure" : "unless-stopped");
    expect(service.security_opt).toContain("no-new-privileges:true");
    expect(service.privileged).toBeUndefined();
    for (const network of service.networks ?? []) expect(networks).toHaveProperty(network);
    expect(service.networks?.length).toBeGreaterThan(0);
  });

  test("whoever is waited for in health has a check, and nobody starts before what it needs", () => {
    for (const [, { depends_on = {} }] of all) {
      for (const [name, { condition }] of Object.entries(depends_on)) {
        if (condition === "service_healthy") expect(services[name]?.healthcheck?.test, name).toBeDefined();
        expect(["service_healthy", "service_completed_successfully"]).toContain(condition);
      }
    }
    expect(services["temporal-ui"]?.networks).not.toContain("warehouse");
  });

  test("mounts only files that are there", async () => {
    for (const [, { volumes = [] }] of all) {
      for (const volume of volumes.filter((each) => each.startsWith("./") && !each.startsWith("./deploy/secrets/"))) {
        const [path = ""] = volume.split(":");
        await expect(
          readdir(join(PACKAGE_DIRECTORY, path)).catch(() => readFile(join(PACKAGE_DIRECTORY, path))),
        ).resolves.toBeDefined();
        expect(volume).toMatch(/:ro$/);
      }
    }
  });

  test("is what docker-compose understands", async (context) => {
    const env = { PATH: process.env["PATH"] ?? "", MIETTE_PROJECT: "/srv/shop" };
    const found = await run("docker-compose", ["version"], { env }).then(
      () => true,
      () => false,
    );
    if (!found) return context.skip("docker-compose is not installed");
    const { stdout } = await run("docker-compose", ["--file", "docker-compose.yml", "config"], {
      cwd: PACKAGE_DIRECTORY,
      env,
    });
    const understood = parse(stdout) as { services: Record<string, { image: string }> };
    expect(Object.keys(understood.services).toSorted()).toEqual(Object.keys(services).toSorted());
    await expect(
      run("docker-compose", ["config"], { cwd: PACKAGE_DIRECTORY, env: { PATH: env.PATH } }),
    ).rejects.toThrow(/name the folder of the project/);
  });
});

describe("the image", () => {
  const dockerfile = () => readFile(join(PACKAGE_DIRECTORY, "Dockerfile"), "utf8");

  test("runs as nobody of importance, from pinned bases, with a health check and the prebuilt workflows", async () => {
    const lines = (await dockerfile()).split("\n");
    for (const line of lines.filter((each) => each.startsWith("FROM")))
      expect(line).toMatch(/^FROM node:24\.\d+\.\d+-[\w-]+( AS \w+)?$/);
    expect(lines.filter((line) => line.startsWith("USER")).at(-1)).toBe("USER miette");
    expect(lines.some((line) => line.startsWith("HEALTHCHECK"))).toBe(true);
    expect(lines.join("\n")).toContain("MIETTE_WORKFLOW_BUNDLE=/app/dist/workflows.js");
    expect(lines.filter((line) => /^(ARG|ENV).*(PASSWORD|SECRET|TOKEN|KEY)/.test(line))).toEqual([]);
  });

  test("takes in only what .dockerignore lets through, and no secret", async () => {
    const rules = (await readFile(join(PACKAGE_DIRECTORY, ".dockerignore"), "utf8")).split("\n");
    expect(rules.find((line) => line && !line.startsWith("#"))).toBe("*");
    expect(rules.indexOf("deploy/secrets")).toBeGreaterThan(rules.indexOf("!deploy"));
    const left = new Set(["bench", "dist", "docs", "node_modules", "test"]);
    const entries = await readdir(PACKAGE_DIRECTORY, { withFileTypes: true });
    const folders = entries.filter(
      (entry) => entry.isDirectory() && !entry.name.startsWith(".") && !left.has(entry.name),
    );
    expect(folders.length).toBeGreaterThan(10);
    for (const { name } of folders) expect(rules).toContain(`!${name}`);
  });
});

test("Temporal's namespace job makes the search attributes that runs are found by", async () => {
  const script = await readFile(join(PACKAGE_DIRECTORY, "deploy/temporal/namespace.sh"), "utf8");
  const named = Object.fromEntries([...script.matchAll(/(Miette\w+):(\w+)/g)].map(([, name, type]) => [name, type]));
  expect(named).toEqual(SEARCH_ATTRIBUTES);
});
