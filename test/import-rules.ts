import { posix } from "node:path";
import { parseSync } from "oxc-parser";

/** Folders of which any file may be used, single files, or `*` for everything; a folder may always use itself. */
interface Rule {
  values: string[];
  /** What may be imported beside, if only as types. */
  types?: string[];
}

/** Who may import whom: the folder (or root file) to what it may use. */
const RULES: Record<string, Rule> = {
  domain: { values: [] },
  connectors: { values: ["domain"] },
  privacy: { values: ["domain"] },
  identity: { values: ["domain"] },
  analytics: { values: ["domain"] },
  notify: { values: ["domain"] },
  warehouse: { values: ["domain", "privacy", "identity", "analytics"] },
  activities: { values: ["domain", "connectors", "privacy", "identity", "analytics", "warehouse", "notify"] },
  workflows: { values: ["domain"], types: ["activities"] },
  "config.ts": { values: ["config", "domain"] },
  config: { values: ["domain"] },
  stack: { values: ["config.ts", "config", "domain"] },
  report: { values: ["domain", "warehouse"] },
  cli: outside(["cli", "report", "console"]),
  "cli.ts": outside(["cli"]),
  console: outside(["console"]),
  collector: outside(["collector"]),
  telemetry: { values: ["domain", "warehouse"] },
  "worker.ts": { values: ["*"] },
  "bundle.ts": { values: ["config.ts", "warehouse/data-converter.ts", "telemetry/tracing.ts"] },
  deploy: { values: ["config.ts", "domain", "stack/temporal-connection.ts"] },
  demo: { values: ["*"] },
  bench: { values: ["*"] },
};

/**
 * What looks at the product from outside: of privacy only tokens and what seals, of the connectors the registry and
 * their errors, of the demo store what has to be there before it runs, and its seeded choices.
 */
function outside(own: string[]): Rule {
  const privacy = ["privacy/tokens.ts", "privacy/sealing.ts", "privacy/key-ring.ts"];
  const connectors = ["connectors/index.ts", "connectors/errors.ts"];
  return {
    values: [
      ...own,
      "domain",
      "config.ts",
      "stack",
      "warehouse",
      ...privacy,
      ...connectors,
      "demo/prepare.ts",
      "demo/random.ts",
    ],
    types: ["connectors", "workflows", "activities"],
  };
}

/** Packages that only some may use as values; a package that is not here is free. */
const PACKAGES: Record<string, string[]> = {
  knex: ["warehouse"],
  nodemailer: ["notify"],
  "@temporalio/workflow": ["workflows"],
  "@temporalio/activity": ["activities"],
  "@temporalio/worker": ["worker.ts", "telemetry", "bundle.ts", "stack"],
  "@temporalio/client": ["cli", "cli.ts", "console", "collector", "activities", "worker.ts", "stack", "deploy"],
};

export interface Import {
  specifier: string;
  isType: boolean;
}

/** The imports, re-exports and dynamic imports of a TypeScript file, and whether it reads the process' environment. */
export function readModule(source: string): { imports: Import[]; readsEnvironment: boolean } {
  const { module, program, errors } = parseSync("module.ts", source);
  if (errors.length) throw new Error(`not TypeScript: ${errors[0]?.message}`);
  const imports: Import[] = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    isType: entries.length > 0 && entries.every((entry) => entry.isType),
  }));
  for (const { entries } of module.staticExports) {
    const [request] = entries.flatMap((entry) => entry.moduleRequest ?? []);
    if (request) imports.push({ specifier: request.value, isType: entries.every((entry) => entry.isType) });
  }
  let readsEnvironment = false;
  visit(program, (node) => {
    const { type } = node;
    if (type === "TSImportType") imports.push({ specifier: literal(node.source ?? node.argument), isType: true });
    else if (type === "ImportExpression") imports.push({ specifier: literal(node.source), isType: false });
    else if (type === "TSExternalModuleReference") imports.push({ specifier: literal(node.expression), isType: false });
    else if (type === "CallExpression" && isNamed(node.callee, "require")) {
      imports.push({ specifier: literal((node.arguments as unknown[])[0]), isType: false });
    } else if (type === "MemberExpression" && isNamed(node.object, "process")) {
      readsEnvironment ||= isNamed(node.property, "env") || literal(node.property) === "env";
    } else if (type === "ImportSpecifier") readsEnvironment ||= isNamed(node.imported, "env");
  });
  return { imports, readsEnvironment };
}

/** What is wrong with a file's imports, as sentences; `path` is relative to the checkout, with `/`. */
export function brokenRules(path: string, imports: Import[]): string[] {
  const owner = ownerOf(path);
  const rule = RULES[owner];
  if (!rule) return [`${path}: ${owner} is in no import rule; add it to the map.`];
  return imports.flatMap(({ specifier, isType }) => {
    const broken = (why: string) => [`${path}: imports ${specifier}, ${why}`];
    if (!specifier.startsWith(".")) {
      if (isType || specifier === "") return specifier === "" ? broken("which is no plain text.") : [];
      return brokenPackage(path, owner, specifier) ? broken(`which ${owner} may not use.`) : [];
    }
    const target = posix.normalize(posix.join(posix.dirname(path), specifier));
    if (target === "worker.ts") return broken("which nobody may.");
    const allowed = [...rule.values, ...(isType ? (rule.types ?? []) : [])];
    if (ownerOf(target) === owner || allowed.includes("*")) return [];
    if (allowed.some((each) => target === each || target.startsWith(`${each}/`))) return [];
    return broken(`and ${owner} may import only ${allowed.join(", ") || "nothing"}${isType ? "" : " as a value"}.`);
  });
}

function brokenPackage(path: string, owner: string, specifier: string): boolean {
  if (owner === "domain") return true;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  // Of the SDK, common is what workflows and clients share; it is as deterministic as the rest of a bundle.
  if (owner === "workflows") return name !== "@temporalio/workflow" && name !== "@temporalio/common";
  if (owner === "connectors" && /^pg(-|$)/.test(name)) return !path.startsWith("connectors/postgres/");
  return Object.hasOwn(PACKAGES, name) && !PACKAGES[name]?.includes(owner) && !RULES[owner]?.values.includes("*");
}

/** The top folder that a file lies in, or the file itself where it lies in none. */
function ownerOf(path: string): string {
  return path.split("/")[0] ?? path;
}

type Node = Record<string, unknown>;

function visit(value: unknown, see: (node: Node) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (typeof (value as Node).type === "string") see(value as Node);
  for (const child of Object.values(value)) visit(child, see);
}

function isNamed(node: unknown, name: string): boolean {
  return (node as Node | undefined)?.type === "Identifier" && (node as Node).name === name;
}

function literal(node: unknown): string {
  const value =
    (node as { value?: unknown; literal?: { value?: unknown } } | undefined)?.value ??
    (node as { literal?: { value?: unknown } })?.literal?.value;
  return typeof value === "string" ? value : "";
}
