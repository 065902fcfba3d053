import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UserErrors } from "../domain/errors.ts";
import { readSettings } from "./settings.ts";

const settings = (env: Record<string, string>) => readSettings(env, "/checkout");

describe("settings", () => {
  it("have defaults, with the home in the checkout and the key in the home", () => {
    expect(settings({ MIETTE_PG_PORT: "" })).toEqual({
      home: "/checkout/.miette",
      dataDirectory: "/checkout/.miette/postgres",
      projectDirectory: "/checkout/demo",
      postgresPort: 54320,
      temporalPort: 7233,
      uiPort: 8233,
      demoPostgresPort: 54330,
      databaseUrl: null,
      analystDatabaseUrl: null,
      temporalAddress: null,
      temporalNamespace: "default",
      temporalSecurity: { tls: false },
      logLevel: "info",
      metricsAddress: null,
      tracesEndpoint: null,
      keyFolder: "/checkout/.miette/keys",
      keyGenerations: null,
      kmsProgram: null,
      workflowBundle: null,
      nodeOptions: "",
      apiToken: null,
      apiCallbacks: [],
      workerVersion: null,
    });
  });

  it("come from the environment", () => {
    const read = settings({
      MIETTE_HOME: "/srv/miette",
      MIETTE_PROJECT: "/srv/shop",
      MIETTE_PG_PORT: "5000",
      DATABASE_URL: "postgresql://app:secret@db.internal/miette?sslmode=verify-full",
      TEMPORAL_ADDRESS: "[::1]:7233",
      TEMPORAL_NAMESPACE: "shop",
      MIETTE_LOG_LEVEL: "debug",
      MIETTE_WORKFLOW_BUNDLE: "/app/dist/workflows.js",
      MIETTE_WORKER_BUILD_ID: "2026-01-31.4",
    });
    expect(read.home).toBe("/srv/miette");
    expect(read.keyFolder).toBe("/srv/miette/keys");
    expect(read.dataDirectory).toBe("/srv/miette/postgres");
    expect(read.projectDirectory).toBe("/srv/shop");
    expect(read.postgresPort).toBe(5000);
    expect(read.databaseUrl).toBe("postgresql://app:secret@db.internal/miette?sslmode=verify-full");
    expect(read.temporalAddress).toBe("[::1]:7233");
    expect(read.temporalNamespace).toBe("shop");
    expect(read.logLevel).toBe("debug");
    expect(read.workflowBundle).toBe("/app/dist/workflows.js");
    expect(read.workerVersion).toEqual({ deploymentName: "miette", buildId: "2026-01-31.4" });
  });

  it("take the keys from files, from the environment, or from a key management service, and never say a byte of them", () => {
    const hex = "0f".repeat(32);
    expect(settings({ MIETTE_KEY_FOLDER: "/run/keys" }).keyFolder).toBe("/run/keys");
    expect(settings({ MIETTE_KEY_GENERATIONS: `1:${hex}, 2:${"a".repeat(64)}` }).keyGenerations).toEqual(
      new Map([
        [1, Buffer.alloc(32, 15)],
        [2, Buffer.alloc(32, 0xaa)],
      ]),
    );
    expect(settings({ MIETTE_KMS_PROGRAM: "/opt/kms" }).kmsProgram).toBe("/opt/kms");
    for (const wrong of [hex, `1:${hex.slice(2)}`, `1:${hex},1:${hex}`, `0:${hex}`]) {
      expect(() => settings({ MIETTE_KEY_GENERATIONS: wrong })).toThrow("MIETTE_KEY_GENERATIONS: must be keys as in");
      expect(() => settings({ MIETTE_KEY_GENERATIONS: wrong })).not.toThrow("0f0f");
    }
    expect(() => settings({ MIETTE_KEY_GENERATIONS: `1:${hex}`, MIETTE_KMS_PROGRAM: "/opt/kms" })).toThrow(
      "second place",
    );
  });

  it("keep the state of a project in its own folder, unless a home is named", () => {
    expect(settings({ MIETTE_PROJECT: "/srv/shop" }).home).toBe("/srv/shop/.miette");
    expect(settings({ MIETTE_PROJECT: "/checkout/demo" }).home).toBe("/checkout/.miette");
  });

  it("tell every wrong variable at once, without its value", () => {
    const wrong = {
      MIETTE_PG_PORT: "70000",
      MIETTE_UI_PORT: "7233",
      MIETTE_DEMO_PG_PORT: "0x10",
      DATABASE_URL: "mysql://app:secret@db/miette",
      ANALYST_DATABASE_URL: "postgres://analyst@db",
      TEMPORAL_ADDRESS: "localhost",
      MIETTE_LOG_LEVEL: "loud",
      MIETTE_WORKER_DEPLOYMENT: "eu west",
      MIETTE_WORKER_BUILD_ID: "v1:2",
    };
    const error = capture(() => settings(wrong));
    expect(error.message.split("\n")).toEqual([
      "MIETTE_PG_PORT: must be a port, a whole number from 1 to 65535.",
      "MIETTE_UI_PORT: is port 7233, as MIETTE_TEMPORAL_PORT is; give each its own.",
      "MIETTE_DEMO_PG_PORT: must be a port, a whole number from 1 to 65535.",
      "DATABASE_URL: must be a URL with a database, as in postgres://user@host:5432/miette.",
      "ANALYST_DATABASE_URL: must be a URL with a database, as in postgres://analyst@host:5432/miette.",
      "TEMPORAL_ADDRESS: must be a host and a port, as in temporal.internal:7233.",
      "MIETTE_LOG_LEVEL: must be one of fatal, error, warn, info, debug, trace, silent.",
      "MIETTE_WORKER_DEPLOYMENT: must be up to 100 letters, digits, _ and -, as in miette-eu.",
      "MIETTE_WORKER_BUILD_ID: must be up to 100 letters, digits, _, -, + and dots, as in 2026-01-31.1.",
    ]);
  });

  it("ask for a build id where a deployment is named", () => {
    const error = capture(() => settings({ MIETTE_WORKER_DEPLOYMENT: "miette-eu" }));
    expect(error.message).toBe("MIETTE_WORKER_BUILD_ID: is needed beside MIETTE_WORKER_DEPLOYMENT.");
  });

  it.each(["postgres://db.internal", "postgres://db.internal/", "not a url"])("refuse DATABASE_URL %s", (url) => {
    expect(capture(() => settings({ DATABASE_URL: url })).errors).toHaveLength(1);
  });
});

function capture(action: () => unknown): UserErrors {
  try {
    action();
  } catch (error) {
    if (error instanceof UserErrors) return error;
    throw error;
  }
  throw new Error("expected UserErrors");
}

it("serves metrics on loopback unless a host is named, and sends traces only to a URL", () => {
  expect(settings({ MIETTE_METRICS_PORT: "9464" }).metricsAddress).toBe("127.0.0.1:9464");
  expect(settings({ MIETTE_METRICS_PORT: "0.0.0.0:9464" }).metricsAddress).toBe("0.0.0.0:9464");
  expect(() => settings({ MIETTE_METRICS_PORT: "no", OTEL_EXPORTER_OTLP_ENDPOINT: "file:///x" })).toThrow(
    /MIETTE_METRICS_PORT: must be a port.*\nOTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL/,
  );
});

describe("secrets by file", () => {
  const folder = mkdtempSync(join(tmpdir(), "miette-secrets-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  afterAll(() => rmSync(folder, { recursive: true }));

  it("are read from the file that <NAME>_FILE names, without the line's end", () => {
    const path = file("url", "postgres://miette:pw@db:5432/miette\n");
    expect(settings({ DATABASE_URL_FILE: path }).databaseUrl).toBe("postgres://miette:pw@db:5432/miette");
  });

  it("are refused where the variable is set too, or the file is absent, wrong or endless, without their content", () => {
    const path = file("bad", "hunter2");
    expect(() => settings({ DATABASE_URL_FILE: path, DATABASE_URL: "postgres://a@b:1/c" })).toThrow(
      /DATABASE_URL_FILE: is set, and DATABASE_URL too/,
    );
    expect(() => settings({ DATABASE_URL_FILE: join(folder, "absent") })).toThrow(
      /DATABASE_URL_FILE: names a file that can't be read \(ENOENT\)/,
    );
    expect(() => settings({ DATABASE_URL_FILE: file("long", "x".repeat(70_000)) })).toThrow(/too long for a secret/);
    expect(() => settings({ DATABASE_URL_FILE: path })).toThrow(/^(?!.*hunter2).*DATABASE_URL: must be a URL/s);
  });
});
