import { formatDay } from "./calendar.ts";
import { LOCALES, type Country, type Language } from "./names.ts";
import { PhoneBook, typePhone } from "./phones.ts";
import type { Random } from "./random.ts";

/** A person of the demo: what is true of them, and what they typed. Everyone has bought, so everyone has one account. */
export interface Person {
  /** The shop's customer number: the customer's number in the CDNOW sample. */
  customer: number;
  country: Country;
  language: Language;
  given: string;
  family: string;
  birthDate: string | null;
  street: string;
  postalCode: string;
  city: string;
  /** What the account holds, as it was typed: null, or a placeholder of the telephone desk, for some. */
  typedEmail: string | null;
  typedPhone: string | null;
  /** The normalised addresses that are this person's and nobody else's; the account's comes first. */
  emails: string[];
  /** E.164; a family's landline is in `household.phone` instead. */
  phones: string[];
  /** Where a second address comes from: typed at a checkout, or left on the newsletter form of a device of one's own. */
  secondAddress: "checkout" | "newsletter" | null;
  /** Devices that only this person uses, the usual one first. */
  devices: string[];
  household: Household | null;
}

/** People under one roof with one tablet. Above 4 accounts it counts as shared; with fewer it is contested. */
export interface Household {
  tablet: string;
  phone: string | null;
  members: number[];
}

/** What the telephone desk types where a customer gives no address. */
const PLACEHOLDERS = ["noreply@elektra.example", "NoReply@elektra.example", "noreply@shop.example"];

const SHARES = [
  ["FR", 34],
  ["GB", 38],
  ["DE", 20],
  ["BE", 8],
] as const satisfies readonly (readonly [Country, number])[];

/** Households by their number of accounts: six above the limit of 4, twelve below. */
const HOUSEHOLDS = [5, 5, 5, 6, 6, 7, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4];

/** The people behind the CDNOW customers 1 to `count`. */
export function makePeople(count: number, random: Random): Person[] {
  const phoneBook = new PhoneBook(random.fork("phones"));
  const mailboxes = new Set<string>();
  const people = Array.from({ length: count }, (_, index) => makePerson(index + 1, random));
  const alone = moveTogether(people, phoneBook, random.fork("households"));
  for (const person of people) addContacts(person, phoneBook, mailboxes, random);
  addInternationalDomains(alone.slice(0, 6), mailboxes);
  addSecondAddresses(alone.slice(6, 206), mailboxes, random);
  return people;
}

function makePerson(customer: number, random: Random): Person {
  const country = random.weighted(SHARES);
  const locale = LOCALES[country];
  const [city, postalPrefix] = random.pick(locale.towns);
  return {
    customer,
    country,
    language: locale.language === "en" || random.chance(locale.language === "fr" ? 0.3 : 0.4) ? "en" : locale.language,
    given: random.pick(locale.given),
    family: random.pick(locale.family),
    birthDate: random.chance(0.12) ? null : formatDay(random.int(-7_300, 13_800)),
    street:
      country === "GB"
        ? `${random.int(1, 120)} ${random.pick(locale.streets)}`
        : `${random.pick(locale.streets)} ${random.int(1, 120)}`,
    postalCode:
      country === "GB"
        ? `${postalPrefix}${random.int(1, 19)} ${random.int(1, 9)}AA`
        : `${postalPrefix}${random.int(0, 9)}`,
    city,
    typedEmail: null,
    typedPhone: null,
    emails: [],
    phones: [],
    secondAddress: null,
    devices: Array.from(
      {
        length: random.weighted([
          [1, 55],
          [2, 38],
          [3, 7],
        ]),
      },
      () => random.uuid(),
    ),
    household: null,
  };
}

/** Makes the households and returns those who live alone, in a random order. */
function moveTogether(people: Person[], phoneBook: PhoneBook, random: Random): Person[] {
  const rest = random.shuffled(people);
  HOUSEHOLDS.forEach((size, index) => {
    const members = rest.splice(0, size);
    const head = members[0] as Person;
    const household: Household = {
      tablet: random.uuid(),
      phone: index % 2 === 0 ? phoneBook.next(head.country, "landline") : null,
      members: members.map((member) => member.customer).sort((a, b) => a - b),
    };
    const { country, language, family, street, postalCode, city } = head;
    for (const member of members)
      Object.assign(member, { country, language, family, street, postalCode, city, household });
  });
  return rest;
}

function addContacts(person: Person, phoneBook: PhoneBook, mailboxes: Set<string>, random: Random): void {
  const email = claimMailbox(person, random.pick(LOCALES[person.country].mailDomains), mailboxes);
  const kind = random.weighted([
    ["given", 96.5],
    ["none", 2.3],
    ["placeholder", 1.2],
  ] as const);
  if (kind === "given") {
    person.emails.push(email);
    person.typedEmail = typeEmail(email, random);
  } else if (kind === "placeholder") person.typedEmail = random.pick(PLACEHOLDERS);

  if (person.household?.phone) person.typedPhone = typePhone(person.household.phone, random);
  else if (random.chance(0.72)) {
    const phone = phoneBook.next(person.country, random.chance(0.8) ? "mobile" : "landline");
    if (!phone) return;
    person.phones.push(phone);
    person.typedPhone = typePhone(phone, random);
  }
}

/** An address that nobody has yet: `zoe.vidal@mail.example`, then `zoe.vidal2@…`. */
function claimMailbox(person: Person, domain: string, mailboxes: Set<string>): string {
  const plain = (text: string) =>
    text
      .normalize("NFKD")
      .replace(/\p{Mark}/gu, "")
      .replaceAll("ß", "ss")
      .toLowerCase()
      .replace(/[^a-z]/g, "");
  const local = `${plain(person.given)}.${plain(person.family)}`;
  for (let number = 1; ; number++) {
    const email = `${local}${number === 1 ? "" : number}@${domain}`;
    if (mailboxes.has(email)) continue;
    mailboxes.add(email);
    return email;
  }
}

/** One address in ten is typed with capitals, spaces or full-width letters: the same address all the same. */
export function typeEmail(email: string, random: Random): string {
  const [local = "", domain = ""] = email.split("@");
  return random.weighted<() => string>([
    [() => email, 90],
    [() => local.replace(/^[a-z]|\.[a-z]/g, (start) => start.toUpperCase()) + `@${domain}`, 4],
    [() => email.toUpperCase(), 2],
    [() => ` ${email}`, 1.5],
    [() => `${email}  `, 1.5],
    [() => email.replace(/^[a-z]/, (letter) => String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0)), 1],
  ])();
}

/** A letter lost or two swapped: another address, which only the order's account ties to the person. */
export function misspell(email: string, random: Random): string {
  const [local = "", domain = ""] = email.split("@");
  const at = random.int(1, local.length - 2);
  const swapped = local.slice(0, at) + local[at + 1] + local[at] + local.slice(at + 2);
  return `${swapped === local || random.chance(0.5) ? local.slice(0, at) + local.slice(at + 1) : swapped}@${domain}`;
}

/** Domains outside ASCII: the account holds them as typed, the truth holds their IDNA form. */
function addInternationalDomains(people: Person[], mailboxes: Set<string>): void {
  for (const person of people) {
    const email = claimMailbox(person, "xn--bro-hoa.example", mailboxes);
    person.emails = [email];
    person.typedEmail = email.replace("xn--bro-hoa", "büro");
  }
}

/** Two in three give their second address at a checkout, the others only on the newsletter form. */
function addSecondAddresses(people: Person[], mailboxes: Set<string>, random: Random): void {
  people.forEach((person, index) => {
    if (person.emails.length === 0) return;
    const domain = random.pick(["travail.example", "office.test", "arbeit.example"]);
    person.emails.push(claimMailbox(person, domain, mailboxes));
    person.secondAddress = index % 3 === 2 ? "newsletter" : "checkout";
  });
}
