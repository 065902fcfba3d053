/** How a mail provider delivers several spellings of an address into one mailbox. */
export interface MailProvider {
  /** Matched against the whole domain, in lower-case ASCII. */
  domain: RegExp;
  /** The domain that its other domains are other names of. */
  sameAs?: string;
  /** What parts the mailbox from a tag of the user's own: `jane+shop` is `jane`. */
  tag?: "+" | "-";
  /** Whether single dots in the mailbox mean nothing. */
  ignoresDots?: boolean;
}

/** By the providers' own documentation; at an unknown one a plus may be part of the mailbox, so it stays. */
export const MAIL_PROVIDERS: readonly MailProvider[] = [
  { domain: /^(?:gmail|googlemail)\.com$/, sameAs: "gmail.com", tag: "+", ignoresDots: true },
  { domain: /^(?:icloud|me|mac)\.com$/, tag: "+" },
  { domain: /^(?:(?:hotmail|live|outlook)\.(?:com?\.)?[a-z]{2,3}|msn\.com|passport\.com)$/, tag: "+" },
  { domain: /^(?:yahoo\.(?:com?\.)?[a-z]{2,3}|ymail\.com|rocketmail\.com)$/, tag: "-" },
  { domain: /^(?:yandex\.(?:ru|ua|kz|com|by)|ya\.ru)$/, sameAs: "yandex.ru" },
  { domain: /^(?:proton\.me|protonmail\.com|pm\.me)$/, sameAs: "proton.me", tag: "+" },
  { domain: /^fastmail\.(?:com|fm)$/, tag: "+" },
];

/**
 * The mailbox that an e-mail address in canonical form is delivered to: without the dots and tags that its provider
 * ignores. Two addresses of one mailbox have one folded form; an erasure that knew only the spelling would let the other back in.
 * @param providers for tests of single rules
 */
export function foldEmail(canonical: string, providers: readonly MailProvider[] = MAIL_PROVIDERS): string {
  const at = canonical.lastIndexOf("@");
  const domain = canonical.slice(at + 1);
  const provider = providers.find((each) => each.domain.test(domain));
  if (!provider) return canonical;
  let mailbox = canonical.slice(0, at);
  if (provider.tag !== undefined) {
    // A plus begins the tag where it first stands; Yahoo's dash where it last stands, since its mailboxes may hold one.
    const cut = provider.tag === "+" ? mailbox.indexOf("+") : mailbox.lastIndexOf("-");
    if (cut >= 0) mailbox = mailbox.slice(0, cut);
  }
  if (provider.ignoresDots) mailbox = mailbox.replace(/\.+/g, (dots) => (dots === "." ? "" : dots));
  return mailbox === "" ? canonical : `${mailbox}@${provider.sameAs ?? domain}`;
}

/** The kind of an e-mail kind's folded tokens: `email` → `email_folded`. */
export function foldedKind(kind: string): string {
  return `${kind}_folded`;
}
