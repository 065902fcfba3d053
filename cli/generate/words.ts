/** What the generated shop is made of. Nothing here is a real person or brand. */

export const GIVEN_NAMES =
  "Adèle Amine Anaïs Arthur Camille Chloé Clara Elias Emma Farid Gabriel Hugo Ines Jade Jules Karim Léa Lina Louis Lucas Maël Manon Marie Nadia Noah Nora Paul Rania Rose Sacha Samir Théo Yanis Zoé".split(
    " ",
  );

export const FAMILY_NAMES =
  "Alaoui Bernard Bertrand Blanc Bonnet Boyer Chevalier Colin Dubois Dupont Durand Faure Fontaine Garnier Girard Haddad Henry Lambert Laurent Lefèvre Legrand Leroy Martin Masson Mercier Moreau Morel Nguyen Perrin Petit Richard Robert Roussel Simon Thomas Vidal".split(
    " ",
  );

export const STREETS = [
  "rue de la Gare",
  "avenue Victor Hugo",
  "rue des Lilas",
  "boulevard du Port",
  "rue du Moulin",
  "place de l'Église",
  "chemin des Vignes",
  "rue Pasteur",
];

export const CITIES: readonly (readonly [city: string, postalArea: string])[] = [
  ["Paris", "750"],
  ["Lyon", "690"],
  ["Marseille", "130"],
  ["Lille", "590"],
  ["Nantes", "440"],
  ["Toulouse", "310"],
  ["Rennes", "350"],
  ["Strasbourg", "670"],
];

export const MAIL_HOSTS = ["mail.example", "post.example", "box.example", "courrier.example"];

export const CATEGORIES = ["laptops", "phones", "audio", "cameras", "tablets", "accessories"];

export const EVENTS: readonly (readonly [name: string, weight: number])[] = [
  ["page_viewed", 40],
  ["product_viewed", 35],
  ["product_added", 12],
  ["video_watched", 8],
  ["checkout_started", 5],
];

/** Where sessions come from; those with a platform cost money. */
export const CHANNELS = [
  { source: "google", medium: "cpc", campaign: "brand", platform: "google", referrer: "https://www.google.com/" },
  { source: "google", medium: "cpc", campaign: "laptops", platform: "google", referrer: "https://www.google.com/" },
  {
    source: "facebook",
    medium: "paid_social",
    campaign: "spring",
    platform: "meta",
    referrer: "https://m.facebook.com/",
  },
  {
    source: "tiktok",
    medium: "paid_social",
    campaign: "videos",
    platform: "tiktok",
    referrer: "https://www.tiktok.com/",
  },
  { source: "newsletter", medium: "email", campaign: "weekly", platform: null, referrer: null },
  { source: null, medium: null, campaign: null, platform: null, referrer: "https://www.google.com/" },
  { source: null, medium: null, campaign: null, platform: null, referrer: null },
] as const;

export const PAID_CHANNELS = CHANNELS.filter(({ platform }) => platform !== null);

export const SENTENCES = [
  "It works very well and I love it.",
  "The battery is poor and it broke after a week.",
  "Good value for the price.",
  "Delivery was late and nobody answered.",
  "Sound and screen are excellent.",
  "It does what it says, nothing more.",
];
