import type { Wording } from "./language.ts";

/** French for the names that the package's own models give; a project's own names stay as they are. */
const FRENCH: Record<string, string> = {
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
  about_to_sleep: "en sommeil proche",
  at_risk: "à risque",
  cant_lose_them: "à ne pas perdre",
  champions: "champions",
  hibernating: "en hibernation",
  loyal_customers: "clients fidèles",
  need_attention: "à réveiller",
  new_customers: "nouveaux clients",
  potential_loyalists: "fidèles en devenir",
  promising: "prometteurs",
  // Goals
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
};

/** A name of the warehouse as people write it, in their language. */
export function nameOf(name: string, wording: Wording): string {
  const known = FRENCH[name] ?? FRENCH[name.replaceAll("_", " ")];
  if (wording.language === "fr" && known !== undefined) return known;
  return /^[a-z0-9_]+$/.test(name) ? name.replaceAll("_", " ") : name;
}

/** `name` as the start of a sentence or a label. */
export function capital(name: string): string {
  return name.charAt(0).toLocaleUpperCase() + name.slice(1);
}
