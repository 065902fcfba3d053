import { userInfo } from "node:os";

/** Who acts, for the audit: the account of the operating system. */
export function actor(): string {
  return `os:${userInfo().username}`;
}
