import { UserError, UserErrors } from "../domain/errors.ts";
import type { Flaw } from "./validate.ts";
import { formatPath, type Path, type YamlFile } from "./yaml-file.ts";

/** What is wrong with a project, gathered so that all of it is told at once. */
export class Findings {
  readonly file: YamlFile;
  readonly #errors: UserError[] = [];
  readonly #flawed: Path[] = [];
  readonly #unfilled: Set<string>;

  /**
   * @param file `miette.yaml`, in which reported paths lie
   * @param unfilled keys whose environment variable is missing: that is told, what follows from it is not
   */
  constructor(file: YamlFile, unfilled: Set<string>) {
    this.file = file;
    this.#unfilled = unfilled;
  }

  report(path: Path, message: string): void {
    this.addFlaws([{ path, error: new UserError(message, this.file.place(path)) }]);
  }

  addFlaws(flaws: Flaw[]): void {
    for (const { path, error } of flaws) {
      this.#flawed.push(path);
      if (!this.#unfilled.has(formatPath(path))) this.#errors.push(error);
    }
  }

  /** Errors of other files. */
  addErrors(errors: readonly UserError[]): void {
    this.#errors.push(...errors);
  }

  /** Whether nothing is wrong at the path or below it. */
  isSound(path: Path): boolean {
    return !this.#flawed.some((flawed) => path.every((step, index) => flawed[index] === step));
  }

  get isEmpty(): boolean {
    return this.#errors.length === 0;
  }

  /** Throws what was found: `miette.yaml` first, then the other files, each by line. */
  throwIfAny(): void {
    if (this.isEmpty) return;
    const unique = new Map(this.#errors.map((error) => [error.message, error]));
    const rank = ({ place }: UserError) => (place.file === this.file.displayFile ? "" : (place.file ?? ""));
    const ordered = [...unique.values()].sort((a, b) =>
      rank(a) === rank(b) ? (a.place.line ?? 0) - (b.place.line ?? 0) : rank(a) < rank(b) ? -1 : 1,
    );
    throw new UserErrors(ordered);
  }
}
