/** SQLSTATE classes that mean the server is away or busy, not that the statement is wrong. */
const STATE = /^(?:08|53|57|40|55P03|25P03)/;
const SOCKET = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN"]);
/** The driver's own errors have no code. */
const DRIVER = /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered)/;

/** Whether an error of the driver means that the warehouse can't be reached or ended the connection, as when it restarts. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as Error & { code?: unknown };
  return (typeof code === "string" && (STATE.test(code) || SOCKET.has(code))) || DRIVER.test(error.message);
}
