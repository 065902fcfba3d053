import type { Wording } from "./language.ts";

/** French for the names that the package's own models give; a project's own names stay as they are. */
const FRENCH = new Map(
  Object.entries({
    // Channels
    Affiliates: "Affiliation",
    "Cross-network": "Multi-réseaux",
    Email: "E-mail",
    "Mobile Push Notifications": "Notifications mobiles",
    "Organic Search": "Recherche naturelle",
    "Organic Shopping": "Shopping naturel",
    "Organic Social": "Réseaux sociaux",
    "Organic Video": "Vidéo",
    "Paid Other": "Autre publicité",
    "Paid Search": "Recherche payante",
    "Paid Shopping": "Shopping payant",
    "Paid Social": "Réseaux sociaux payants",
    "Paid Video": "Vidéo payante",
    Referral: "Sites référents",
    Unassigned: "Non attribué",
    // RFM segments
    about_to_sleep: "bientôt endormis",
    at_risk: "à risque",
    cant_lose_them: "à ne pas perdre",
    champions: "champions",
    hibernating: "en hibernation",
    loyal_customers: "clients fidèles",
    need_attention: "à relancer",
    new_customers: "nouveaux clients",
    potential_loyalists: "fidèles en devenir",
    promising: "prometteurs",
    // Goals
    at_least: "au moins",
    at_most: "au plus",
    met: "atteint",
    "on track": "en bonne voie",
    behind: "en retard",
    missed: "manqué",
    // Drivers of satisfaction
    category: "catégorie",
    channel: "canal",
    "delivery days": "jours de livraison",
    month: "mois",
    price: "prix",
    product: "produit",
    "cheapest quarter": "quart le moins cher",
    "second quarter": "deuxième quart",
    "third quarter": "troisième quart",
    "dearest quarter": "quart le plus cher",
    // Measures
    revenue: "chiffre d’affaires",
    orders: "commandes",
    "buying customers": "clients acheteurs",
    "average order value": "panier moyen",
    "share of repeat orders": "part des réachats",
    "mean rating": "note moyenne",
    // States of a stream
    done: "à jour",
    running: "en cours",
    failed: "en échec",
  }),
);

/** English for names that an identifier cannot spell. */
const ENGLISH = new Map([["cant_lose_them", "can’t lose them"]]);

/** A name of the warehouse as people write it, in their language. */
export function nameOf(name: string, wording: Wording): string {
  const known =
    wording.language === "fr" ? (FRENCH.get(name) ?? FRENCH.get(name.replaceAll("_", " "))) : ENGLISH.get(name);
  if (known !== undefined) return known;
  return /^[a-z0-9_]+$/.test(name) ? name.replaceAll("_", " ") : name;
}

/** `name` as the start of a sentence or a label. */
export function capital(name: string): string {
  return name.charAt(0).toLocaleUpperCase() + name.slice(1);
}
