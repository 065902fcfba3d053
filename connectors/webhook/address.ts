import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { InvalidConfig } from "../errors.ts";

/** Where nobody's webhook stands: this machine's neighbourhood by link, by which clouds give out credentials, and no host at all. */
const NEVER = blockList(
  ["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ["::/128", "fe80::/10", "fd00:ec2::254/128", "ff00::/8"],
);
/** RFC 1918, RFC 6598, loopback, benchmarks and protocols' own (RFC 6890); unique local addresses, translations of IPv4. */
const PRIVATE = blockList(
  ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"],
  ["::1/128", "fc00::/7", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"],
);

/**
 * Looks a webhook's host up, and refuses addresses that its configuration does not lead one to expect: a name whose owner
 * points it at the machines behind the firewall would otherwise get calls made there. The address that was looked at is the
 * one that is connected to.
 */
export function lookupFor(network: "public" | "private"): LookupFunction {
  return (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error) return done(error, "");
      const flaw = found.some(({ address }) => isRefused(host, address, network));
      if (flaw) return done(refusal(host) as NodeJS.ErrnoException, "");
      const first = found[0] as LookupAddress;
      if (options.all) return done(null, found);
      done(null, first.address, first.family);
    });
  };
}

/** @throws InvalidConfig where the URL names an address that is never a webhook's: no name is looked up for it */
export function checkAddress(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) && holds(NEVER, host)) throw refusal(host);
}

function isRefused(host: string, address: string, network: "public" | "private"): boolean {
  if (holds(NEVER, address)) return true;
  return network === "public" && host !== "localhost" && holds(PRIVATE, address);
}

function refusal(host: string): InvalidConfig {
  return new InvalidConfig(
    `the host ${host} of the webhook leads into a private network; write network: private in its config if it stands in one`,
  );
}

/** An IPv4 address in the clothes of IPv6 is judged as what it is. */
function holds(list: BlockList, address: string): boolean {
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return list.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
}

function blockList(v4: string[], v6: string[]): BlockList {
  const list = new BlockList();
  for (const [nets, family] of [
    [v4, "ipv4"],
    [v6, "ipv6"],
  ] as const) {
    for (const net of nets) {
      const [address, bits] = net.split("/");
      list.addSubnet(address as string, Number(bits), family);
    }
  }
  return list;
}
