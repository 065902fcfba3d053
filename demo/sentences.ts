import type { Language } from "./names.ts";

/** What a review says: how the product is, how the parcel came, how it ends. `{product}` and `{days}` are filled in. */
export interface Sentences {
  title: Record<Mood, readonly string[]>;
  product: Record<Mood, readonly string[]>;
  fast: readonly string[];
  late: readonly string[];
  closing: Record<Mood, readonly string[]>;
}

export type Mood = "good" | "mixed" | "bad";

const ENGLISH: Sentences = {
  title: {
    good: ["Very happy", "Exactly what I wanted", "Great value", "Would buy again", "Love it"],
    mixed: ["Decent, not more", "Mixed feelings", "It is okay", "Has its flaws"],
    bad: ["Disappointed", "Not what I expected", "Would not buy again", "A bad experience"],
  },
  product: {
    good: [
      "The {product} works beautifully and was easy to set up.",
      "I use the {product} every day and I am really pleased with it.",
      "Build quality of the {product} is excellent, nothing rattles.",
      "My daughter loves her {product}, a perfect present.",
      "For this price the {product} is a wonderful surprise.",
      "The {product} replaced an older one and is better in every way.",
    ],
    mixed: [
      "The {product} does its job, but the manual is confusing.",
      "Some things about the {product} are good, others feel unfinished.",
      "The {product} is fine for occasional use.",
      "I expected a little more from the {product} at this price.",
    ],
    bad: [
      "The {product} feels cheap and I am unhappy with it.",
      "My {product} stopped working after a week, which is annoying.",
      "The {product} is far worse than the pictures promise.",
      "I regret buying the {product}.",
    ],
  },
  fast: ["It arrived quickly and well packed.", "Fast delivery, thank you!", "Ordered on Monday, here in {days} days."],
  late: [
    "Delivery took {days} days, which is terrible.",
    "I waited {days} days for the parcel and nobody could tell me where it was.",
    "The parcel was awfully late: {days} days instead of two.",
  ],
  closing: {
    good: ["Highly recommended.", "Five stars from me.", "I will shop here again.", "Thanks to the friendly team."],
    mixed: ["Let us see how long it lasts.", "Three stars are fair.", "Perhaps the next version is better."],
    bad: ["I am sending it back.", "Never again.", "Poor service, I want my money back.", "Save your money."],
  },
};

const FRENCH: Sentences = {
  title: {
    good: ["Très contente", "Rien à redire", "Excellent achat", "Je recommande", "Parfait"],
    mixed: ["Correct, sans plus", "Mitigé", "Peut mieux faire", "Ça va"],
    bad: ["Déçu", "À éviter", "Pas à la hauteur", "Mauvaise expérience"],
  },
  product: {
    good: [
      "Le produit {product} fonctionne à merveille, la mise en route est simple.",
      "J'utilise {product} tous les jours et j'en suis ravie.",
      "Belle finition, {product} vaut largement son prix.",
      "Offert à mon fils, {product} lui plaît énormément.",
    ],
    mixed: [
      "{product} fait le travail, mais la notice est incompréhensible.",
      "Pour un usage occasionnel, {product} suffit.",
      "J'attendais un peu mieux de {product}.",
    ],
    bad: [
      "{product} fait bon marché, je suis vraiment déçu.",
      "{product} est tombé en panne au bout d'une semaine.",
      "Je regrette d'avoir acheté {product}.",
    ],
  },
  fast: ["Livraison rapide et soignée.", "Reçu en {days} jours, bravo.", "Colis arrivé très vite."],
  late: [
    "Livré au bout de {days} jours, c'est inadmissible.",
    "{days} jours d'attente et aucune nouvelle du colis.",
    "Le colis a eu un retard énorme : {days} jours.",
  ],
  closing: {
    good: ["Je recommande vivement.", "Merci à toute l'équipe.", "Je reviendrai."],
    mixed: ["À voir dans la durée.", "Trois étoiles, c'est juste."],
    bad: ["Je le renvoie.", "Plus jamais.", "Je demande un remboursement."],
  },
};

const GERMAN: Sentences = {
  title: {
    good: ["Sehr zufrieden", "Klare Empfehlung", "Top Qualität", "Gerne wieder", "Begeistert"],
    mixed: ["Geht so", "Durchwachsen", "In Ordnung, mehr nicht", "Mit Schwächen"],
    bad: ["Enttäuscht", "Nie wieder", "Leider schlecht", "Nicht zu empfehlen"],
  },
  product: {
    good: [
      "{product} funktioniert einwandfrei und war schnell eingerichtet.",
      "Ich benutze {product} täglich und bin begeistert.",
      "Die Verarbeitung ist hervorragend, {product} ist sein Geld wert.",
    ],
    mixed: [
      "{product} tut, was es soll, aber die Anleitung ist unverständlich.",
      "Für gelegentlichen Gebrauch reicht {product}.",
      "Von {product} hatte ich etwas mehr erwartet.",
    ],
    bad: [
      "{product} wirkt billig, ich bin enttäuscht.",
      "Nach einer Woche war {product} kaputt.",
      "Den Kauf von {product} bereue ich.",
    ],
  },
  fast: ["Schnelle Lieferung, gut verpackt.", "Nach {days} Tagen war das Paket da, super.", "Sehr schneller Versand."],
  late: [
    "Die Lieferung dauerte {days} Tage, das ist eine Frechheit.",
    "{days} Tage gewartet, und niemand wusste, wo das Paket ist.",
    "Viel zu spät geliefert: {days} Tage.",
  ],
  closing: {
    good: ["Klare Empfehlung.", "Danke an das Team.", "Ich bestelle wieder hier."],
    mixed: ["Mal sehen, wie lange es hält.", "Drei Sterne sind gerecht."],
    bad: ["Geht zurück.", "Einmal und nie wieder.", "Ich will mein Geld zurück."],
  },
};

export const SENTENCES: Record<Language, Sentences> = { en: ENGLISH, fr: FRENCH, de: GERMAN };
