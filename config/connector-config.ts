import type { ValidateFunction } from "ajv";
import type { Json } from "../domain/streams.ts";
import type { Findings } from "./findings.ts";
import { hint } from "./suggest.ts";
import { compileSchema, findFlaws } from "./validate.ts";
import { isObject, type Path } from "./yaml-file.ts";

/** JSON Schema of the `config` of each connector, by the connector's name. */
export type ConnectorSpecs = Record<string, object>;

export type Config = Record<string, Json>;

/** Compiled once for each specification, which takes 15 ms: a worker reads its project at each activity. */
const validators = new WeakMap<object, ValidateFunction>();

/** Knows what each connector asks of its `config`. */
export class ConnectorConfigs {
  readonly #specs: ConnectorSpecs;

  constructor(specs: ConnectorSpecs) {
    this.#specs = specs;
  }

  /** Checks a source's connector and the config of each of its streams: the source's, overlaid by the stream's own. */
  check(block: { connector: string; config?: Config; streams?: object }, path: Path, findings: Findings): void {
    if (typeof block.connector !== "string") return;
    const validate = this.#validator(block.connector);
    if (!validate) {
      const unknown = `there is no connector ${JSON.stringify(block.connector)}`;
      findings.report(
        [...path, "connector"],
        `${unknown}${hint(block.connector, Object.keys(this.#specs), "there are")}`,
      );
      return;
    }
    const own = isObject(block.config) ? block.config : {};
    const streams = Object.entries(isObject(block.streams) ? block.streams : {});
    // A source without streams is what `discover` starts from.
    const overlays = streams.length ? streams.map(([name, stream]) => ({ name, config: configOf(stream) })) : [null];
    for (const overlay of overlays) {
      const locate = (inner: Path): Path => {
        const first = inner[0] === undefined ? null : String(inner[0]);
        const isOwn =
          overlay && (first === null ? Object.keys(overlay.config).length : Object.hasOwn(overlay.config, first));
        return [...path, ...(isOwn ? ["streams", overlay.name, "config"] : ["config"]), ...inner];
      };
      findings.addFlaws(findFlaws(validate, { ...own, ...overlay?.config }, findings.file, locate));
    }
  }

  #validator(connector: string): ValidateFunction | null {
    const spec = Object.hasOwn(this.#specs, connector) ? this.#specs[connector] : undefined;
    if (!spec) return null;
    const validate = validators.get(spec) ?? compileSchema(spec);
    validators.set(spec, validate);
    return validate;
  }
}

function configOf(stream: unknown): Config {
  const config = isObject(stream) ? (stream as { config?: unknown }).config : undefined;
  return isObject(config) ? (config as Config) : {};
}
