/** SQLSTATEs of a server that is away: it takes no connections, or ended this one. */
const GONE = /^(?:08|57P|25P03)/;
/** Of one that is there, and busy: out of something, or in conflict with another session. */
const BUSY = /^(?:53|57|40|55P03)/;
const SOCKET = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN"]);
/** The driver's own errors have no code. */
const DRIVER = /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered)/;

/** Whether an error of the driver means that the warehouse can't be reached or ended the connection, as when it restarts. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as Error & { code?: unknown };
  return (typeof code === "string" && (GONE.test(code) || SOCKET.has(code))) || DRIVER.test(error.message);
}

/** Whether the same may work in a while, as the server is away or busy: the statement is not what is wrong. */
export function isAway(error: unknown): boolean {
  return isGone(error) || (error instanceof Error && BUSY.test(String((error as Error & { code?: unknown }).code)));
}
