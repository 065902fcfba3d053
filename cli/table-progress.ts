/** One line of a terminal that says how far a long command is; nothing where there is no terminal or machines read. */
export function progressOf(isQuiet: boolean): { show(line: string): void; clear(): void } {
  const isShown = process.stderr.isTTY && !isQuiet;
  const write = (text: string): void => void (isShown && process.stderr.write(`\r\u001b[K${text}`));
  return {
    show: (line) => write(line.slice(0, (process.stderr.columns || 100) - 1)),
    clear: () => write(""),
  };
}
