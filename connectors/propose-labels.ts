import { isIP } from "node:net";
import { columnName } from "../domain/columns.ts";
import type { PersonalKind, SensitiveCategory } from "../domain/streams.ts";

export interface LabelProposal {
  personal?: PersonalKind;
  /** The identifier kind, for fields that name a person by themselves. */
  identifier?: string;
  /** A special category that the field tells of. */
  sensitive?: SensitiveCategory;
  /** The reason, written beside the field. Names the field or the shape of its values, never a value. */
  why?: string;
}

interface Rule {
  personal: PersonalKind;
  identifier?: string;
  /** Matched against the snake_case name, whole words. */
  name?: RegExp;
  /** Matched against values; most of those that are not empty have to fit. */
  value?: (value: string) => boolean;
  /** A name is believed only where some values agree; without this, the name alone decides. */
  plausible?: (value: string) => boolean;
  /** What the values look like, for `why`. */
  shape?: string;
}

const EMAIL = /^[^\s@,;<>]+@[^\s@,;<>]+\.[\p{L}\p{N}-]{2,}$/u;
/** Written as a phone number is: a plus or separators, since bare digits may count anything. */
const PHONE =
  /^(?=(?:\D*\d){7,15}\D*$)(?:\+[\d\s().\-/]+|\(?\d{2,5}\)?[\s.\-/]\(?\d[\d\s().\-/]*)(?:\s?(?:x|ext\.?)\s?\d+)?$/i;
const DAY = /^\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}(?:[T ]|$)/;
const WORDY = (value: string) => /\p{L}/u.test(value);
const isPhone = (value: string) => PHONE.test(value) && !DAY.test(value) && isIP(value) === 0;

/** Grouped in fours, or not at all; with the checksum of ISO 7064. */
function isIban(value: string): boolean {
  const text = value.replace(/\s/g, "").toUpperCase();
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(text)) return false;
  const digits = (text.slice(4) + text.slice(0, 4)).replace(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0) === 1;
}

/** 14 to 16 digits that begin as those of the big schemes do, with Luhn's checksum. */
function isCard(value: string): boolean {
  const digits = value.replace(/[ -]/g, "");
  if (!/^[3-6]\d{13,15}$/.test(digits)) return false;
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const twice = Number(digit) * (index % 2 === 0 ? 1 : 2);
    return total + (twice > 9 ? twice - 9 : twice);
  }, 0);
  return sum % 10 === 0;
}

/** A house number and the word for a street, in either order. */
const STREET =
  /^(?=.*\d)(?=.{0,200}(?:\b(?:street|st|road|rd|avenue|ave|lane|ln|drive|boulevard|blvd|rue|place|chemin|all[ée]e|calle|via|piazza|laan|weg)\b|(?:stra(?:ß|ss)e|str\.|straat|weg|gasse|platz)(?![a-z])))[\p{L}\d][^@=]{4,}$/iu;

/** The first that fits is proposed. Names before shapes, since a name says what a value means. */
const RULES: Rule[] = [
  {
    personal: "email",
    identifier: "email",
    name: /(^|_)(e_?mail|mail|courriel|correo(_electronico)?)(_?(addr(ess)?|adresse))?(_\d+)?$/,
    plausible: (value) => value.includes("@"),
  },
  { personal: "email", identifier: "email", value: (value) => EMAIL.test(value), shape: "e-mail addresses" },
  {
    personal: "ip",
    name: /(^|_)(ip|ip_?addr(ess)?|remote_addr|ipv[46])$/,
    plausible: (value) => isIP(value.split("/")[0] ?? "") !== 0,
  },
  { personal: "ip", value: (value) => isIP(value) !== 0, shape: "IP addresses" },
  { personal: "payment", value: isIban, shape: "bank account numbers" },
  { personal: "payment", value: isCard, shape: "card numbers" },
  {
    personal: "government_id",
    value: (value) => /^\d{3}-\d{2}-\d{4}$/.test(value),
    shape: "social security numbers",
  },
  {
    personal: "phone",
    identifier: "phone",
    name: /(^|_)(phone|telephone|telefon|telefono|tel|mobile|portable|handy|movil|msisdn|cell_?phone|whats_?app)(_?(no|number|num|nr))?(_\d+)?$/,
    plausible: (value) => /\d{3}/.test(value.replace(/\D/g, "")),
  },
  { personal: "phone", name: /(^|_)fax(_?(no|number|num|nr))?$/, plausible: (value) => /\d/.test(value) },
  {
    personal: "government_id",
    name: /(^|_)(ssn|soc_sec_id|social_security(_?(no|number|id))?|national_id|passport(_?(no|number|id))?|tax_(id|number)|personal_id|nino|nif|dni|cpf|driv(er|ing)s?_licen[cs]e(_?(no|number))?)$/,
  },
  {
    personal: "payment",
    name: /(^|_)(iban|bic|card_?(no|number|num)|credit_?card(_?(no|number|num))?|cc_?(no|number|num)|account_?number|bank_account|cvv|cvc)$/,
  },
  {
    personal: "birth_date",
    name: /(^|_)(birth_?(date|day)|date_?of_?birth|dob|born(_on)?|geburts(datum|tag)|date_?de_?naissance|naissance|fecha_?de_?nacimiento|nascita)$/,
    plausible: (value) => /\d/.test(value),
  },
  {
    personal: "postal_code",
    name: /(^|_)(zip|zip_?code|post_?code|postal(_?code)?|plz|code_?postal|cap|codigo_?postal)$/,
    plausible: (value) => /\d/.test(value) && value.length <= 12,
  },
  {
    personal: "name",
    name: /^((full|first|last|middle|given|family|sur|fore|maiden|nick|display|contact|customer|person|people|employee|user|recipient|reviewer|author|billing|shipping|ship|cardholder|guest|member)_?)name(_?\d)?$|(^|_)(fullname|firstname|lastname|surname|forename|maidenname|prenom|vorname|nachname|nombre|apellidos?|cognome|voornaam|achternaam|nom(_de_famille)?)$/,
    plausible: WORDY,
  },
  {
    personal: "address",
    name: /(^|_)((street|home|postal|mailing|billing|shipping|delivery|ship)_?)?addr(ess)?(_?(line_?)?\d)?$|(^|_)(street|street_?(name|number|line_?\d?)|house_?(no|number)|suburb|adresse|rue|strasse|hausnummer|direccion|calle|indirizzo|straat)$/,
    plausible: (value) => !EMAIL.test(value),
  },
  {
    personal: "device_id",
    identifier: "device_id",
    name: /(^|_)(device|visitor|anonymous|cookie|client|advertising|fingerprint)_?(id|uuid)$|(^|_)(idfa|gaid|idfv|aaid|fingerprint|domain_userid|network_userid|duid)$/,
  },
  {
    personal: "account_id",
    identifier: "customer_id",
    name: /^(customer|cust|client|user|member|shopper|buyer|person|contact|account|subscriber)_?(id|no|nr|num|number|ref|key|uuid|code)$|^(customer|user)$/,
  },
  { personal: "account_id", name: /(^|_)(user_?name|login|screen_?name|handle)$/ },
  {
    personal: "free_text",
    name: /(^|_)(comments?|notes?|message|body|review_?(text|body)|text|feedback|remarks?|bio|about|transcript|question|answer|content)$/,
    plausible: WORDY,
  },
  { personal: "phone", identifier: "phone", value: isPhone, shape: "phone numbers" },
  { personal: "address", value: (value) => STREET.test(value), shape: "street addresses" },
  {
    personal: "free_text",
    value: (value) =>
      value.length > 40 && /\p{L}+\s+\p{L}+\s+\p{L}+\s+\p{L}+/u.test(value) && !/^[[{<]|^\w+:\/\//.test(value),
    shape: "sentences",
  },
];

/** Names that tell of a special category: matched as whole words of the snake_case name. */
const SENSITIVE: [SensitiveCategory, RegExp][] = [
  [
    "health",
    /(^|_)(diagnos[ei]s|disease|illness|condition_code|icd(_?\d+)?|medication|prescription|allerg(y|ies)|disability|blood_?(type|group)|pregnan(t|cy)|health(_\w+)?|medical(_\w+)?)$/,
  ],
  ["religion", /(^|_)(religion|religious_\w+|faith|denomination|church)$/],
  ["ethnicity", /(^|_)(ethnicity|ethnic_\w+|race|racial_\w+|skin_colou?r)$/],
  ["politics", /(^|_)(political_\w+|party_affiliation|party_membership|voted_for)$/],
  ["trade_union", /(^|_)(trade_?union(_\w+)?|union_member(ship)?)$/],
  ["sexuality", /(^|_)(sexual_\w+|sexuality|orientation_sexual)$/],
  ["genetics", /(^|_)(genetic_\w+|genome|dna(_\w+)?)$/],
  ["biometrics", /(^|_)(biometrics?(_\w+)?|face_?(id|print|embedding)|finger_?print_template|voice_?print|iris_scan)$/],
  ["criminal_record", /(^|_)(criminal_\w+|convictions?|arrests?)$/],
];

/** Characters of a value that are looked at. */
const SHOWN = 1000;

/** Share of the values that has to fit: of a shape alone, and of a name that most values could contradict. */
const MOST = 0.6;
const SOME = 0.2;

/** Streams whose records are people: there `id` and `name` mean a person's. */
const PEOPLE =
  /(^|_)(customers?|users?|people|persons?|members?|contacts?|subscribers?|clients?|profiles?|leads?|shoppers?|buyers?)$/;

/**
 * Proposes whether a field holds personal data, by its name and by the shape of its values; a person decides.
 * @param fieldName as the source spells it
 * @param sampleValues values as text; empty ones are passed over. May be empty, then the name alone speaks
 * @param streamName tells whose `id` and `name` they are
 */
export function proposeLabels(fieldName: string, sampleValues: readonly string[], streamName = ""): LabelProposal {
  const own = columnName(fieldName);
  const name = /^(id|name)$/.test(own) && PEOPLE.test(columnName(streamName)) ? `customer_${own}` : own;
  // The beginning of a long value tells its shape; patterns over megabytes would exhaust the stack.
  const values = sampleValues.map((value) => value.slice(0, SHOWN).trim()).filter((value) => value !== "");
  const fits = (test: (value: string) => boolean, share: number) => values.filter(test).length >= values.length * share;
  const sensitive = SENSITIVE.find(([, pattern]) => pattern.test(own))?.[0];
  for (const { personal, identifier, name: pattern, value, plausible, shape } of RULES) {
    if (
      pattern
        ? !pattern.test(name) || (plausible && !fits(plausible, SOME))
        : values.length === 0 || !value || !fits(value, MOST)
    ) {
      continue;
    }
    const label = personal.replace("_", " ");
    const why = pattern
      ? `Proposed as personal (${label}) by its name.`
      : `Proposed as personal (${label}): most values look like ${shape}.`;
    return { personal, ...(identifier && { identifier }), ...(sensitive && { sensitive }), why };
  }
  if (!sensitive) return {};
  // What no other kind tells apart is sealed as what it is: a fact of a special category.
  return {
    personal: "custom",
    sensitive,
    why: `Proposed as personal and sensitive (${sensitive.replace("_", " ")}) by its name.`,
  };
}
