import { cp, mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Format } from "../cli/generate/files.ts";
import { generateProject } from "../cli/generate/generation.ts";
import { openServers, type Servers } from "./servers.ts";
import { openWarehouse, type Warehouse } from "./warehouse.ts";

export interface BenchOptions {
  /** Events of the main data set; orders are a tenth of it, customers a twentieth. */
  rows: number;
  /** Events of the largest data set that growth is measured with. */
  largest: number;
  /** Measured runs, of which the median counts. */
  runs: number;
  /** Folder for profiles; null: none are taken. */
  profiles: string | null;
  /** Folder of the bench's own servers and data, removed at the end. */
  folder: string;
  say(line: string): void;
}

/** What rows work with: servers of the bench's own, data sets, and a fresh warehouse as often as they ask for one. */
export class Bench {
  readonly options: BenchOptions;
  readonly servers: Servers;
  private constructor(options: BenchOptions, servers: Servers) {
    this.options = options;
    this.servers = servers;
  }

  static async open(options: BenchOptions): Promise<Bench> {
    return new Bench(options, await openServers(options));
  }

  /** A generated project; made once for each format and size. Nobody may change it: see {@link copyOfDataset}. */
  async dataset(format: Format, events: number): Promise<string> {
    const directory = join(this.options.folder, "data", `${format}-${events}`);
    if (await stat(directory).catch(() => null)) return directory;
    this.options.say(`making ${events.toLocaleString("en-US")} events (${format})`);
    const sizes = { events, orders: Math.ceil(events / 10), customers: Math.ceil(events / 20) };
    await generateProject(directory, { seed: 1, format, sizes });
    return directory;
  }

  /** A data set to which increments may be added. */
  async copyOfDataset(format: Format, events: number, name: string): Promise<string> {
    const directory = await this.emptyFolder(name);
    await cp(await this.dataset(format, events), directory, { recursive: true, preserveTimestamps: true });
    return directory;
  }

  /** An empty folder for a project of a row's own. */
  async emptyFolder(name: string): Promise<string> {
    const directory = join(this.options.folder, "data", name);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    return directory;
  }

  /** An empty warehouse with a worker of a project; it takes the place of the one before. */
  async openWarehouse(project: string, options: { from?: string } = {}): Promise<Warehouse> {
    return await openWarehouse(this, project, options);
  }

  async close(): Promise<void> {
    await this.servers.close();
    await rm(this.options.folder, { recursive: true, force: true });
  }
}
