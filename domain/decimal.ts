/** A number in its decimal text, where a JavaScript number would lose digits or range. */
export class DecimalText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
  toJSON(): string {
    return this.text;
  }
}
