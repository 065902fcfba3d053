import { join, resolve } from "node:path";
import type { ValidateFunction } from "ajv";
import { isSupportedCountry } from "libphonenumber-js";
import { UserError } from "../domain/errors.ts";
import type { Project } from "../domain/project.ts";
import { type DestinationBlock, readDestinations } from "./destinations.ts";
import { fillEnvironment } from "./environment.ts";
import { Findings } from "./findings.ts";
import { readFreshness } from "./freshness.ts";
import { type GoalBlock, readGoals } from "./goals.ts";
import { type IdentifierBlock, identityRules } from "./identity.ts";
import { type NotifyBlock, readNotify } from "./notify.ts";
import { type HoldBlock, readHolds, readRetention, type RetentionBlock } from "./retention.ts";
import type { Environment } from "./settings.ts";
import { ConnectorConfigs, type ConnectorSpecs } from "./connector-config.ts";
import { readSources, type SourceBlock } from "./sources.ts";
import { hint } from "./suggest.ts";
import { survivorshipRules, type SurvivorshipBlock } from "./survivorship.ts";
import { findFlaws, packagedSchema } from "./validate.ts";
import { formatPath, isObject, readYamlFile, type YamlFile } from "./yaml-file.ts";

/** `miette.yaml` as its schema describes it. */
interface ProjectBlock {
  name: string;
  currency: string;
  time_zone: string;
  default_country?: string;
  age_of_consent?: number;
  sources: Record<string, SourceBlock>;
  identity?: { identifiers?: IdentifierBlock[]; survivorship?: SurvivorshipBlock };
  goals?: GoalBlock[];
  notify?: NotifyBlock;
  destinations?: Record<string, DestinationBlock>;
  retention?: RetentionBlock[];
  holds?: HoldBlock[];
}

let validateProject: ValidateFunction | undefined;

/**
 * Reads `miette.yaml` and the schemas that it names. Throws UserErrors with everything that is wrong, in the order
 * of files and lines.
 */
export async function readProject(
  directory: string,
  env: Environment,
  specs: ConnectorSpecs,
  destinationSpecs: ConnectorSpecs = {},
): Promise<Project> {
  const root = resolve(directory);
  const file = await openProjectFile(root);
  const { data, flaws: unfilled } = fillEnvironment(file, env);
  const findings = new Findings(file, new Set(unfilled.map(({ path }) => formatPath(path))));
  findings.addErrors(unfilled.map(({ error }) => error));
  validateProject ??= packagedSchema("miette");
  findings.addFlaws(findFlaws(validateProject, data, file));

  // What has the wrong shape has been told; the rest is checked on, so that all of it is told at once.
  const block = (isObject(data) ? data : {}) as Partial<ProjectBlock>;
  checkPlaces(block, findings);
  const { sources, fieldKinds } = await readSources(
    isObject(block.sources) ? block.sources : {},
    root,
    new ConnectorConfigs(specs),
    findings,
  );
  const who = findings.isSound(["identity"]) ? block.identity : undefined;
  const identity = identityRules(who?.identifiers, fieldKinds, findings);
  const names = sources.map((source) => source.name);
  const survivorship = survivorshipRules(who?.survivorship, names, findings);
  const goals = findings.isSound(["goals"]) ? readGoals(block.goals ?? [], findings) : [];
  const freshness = readFreshness(isObject(block.sources) ? block.sources : {}, findings);
  const notify = readNotify(findings.isSound(["notify"]) ? (block.notify ?? {}) : {}, findings);
  const destinations = readDestinations(
    isObject(block.destinations) ? block.destinations : {},
    fieldKinds,
    new ConnectorConfigs(destinationSpecs),
    findings,
  );
  const retention = findings.isSound(["retention"]) ? readRetention(block.retention ?? [], sources, findings) : [];
  const holds = findings.isSound(["holds"]) ? readHolds(block.holds ?? [], sources, findings) : [];
  findings.throwIfAny();

  const {
    name,
    currency,
    time_zone: timeZone,
    default_country: defaultCountry = null,
    age_of_consent: ageOfConsent = 16,
  } = block as ProjectBlock;
  return {
    name,
    directory: root,
    currency,
    timeZone,
    defaultCountry,
    ageOfConsent,
    sources,
    identity,
    survivorship,
    goals,
    freshness,
    notify,
    destinations,
    retention,
    holds,
  };
}

async function openProjectFile(root: string): Promise<YamlFile> {
  try {
    return await readYamlFile(join(root, "miette.yaml"));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      'there is no miette.yaml to read; name the project\'s folder by --project, or make one with "miette init".',
      {
        file: root,
      },
    );
  }
}

/** The reporting currency, the time zone and the default country must be known to the runtime. */
function checkPlaces(block: Partial<ProjectBlock>, findings: Findings): void {
  const { currency, time_zone: timeZone, default_country: country } = block;
  const currencies = Intl.supportedValuesOf("currency");
  if (typeof currency === "string" && !currencies.includes(currency)) {
    findings.report(["currency"], `is no ISO 4217 currency; write its code in capitals, as in EUR.`);
  }
  if (typeof timeZone === "string" && !isTimeZone(timeZone)) {
    const zones = ["UTC", ...Intl.supportedValuesOf("timeZone")];
    const near = hint(timeZone, zones, "");
    findings.report(
      ["time_zone"],
      near.includes("did you mean")
        ? `is no IANA time zone${near}`
        : "is no IANA time zone; write one as in Europe/Paris or UTC.",
    );
  }
  const countries = Object.entries(isObject(block.sources) ? block.sources : {}).map(([name, source]) => ({
    path: ["sources", name, "default_country"],
    country: isObject(source) ? source.default_country : undefined,
  }));
  for (const { path, country: code } of [{ path: ["default_country"], country }, ...countries]) {
    if (typeof code === "string" && !isSupportedCountry(code)) {
      findings.report(path, "is no ISO 3166-1 country; write its two capital letters, as in FR.");
    }
  }
}

/** Offsets such as +01:00 are refused: Intl takes them, and Postgres reads them with the other sign. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
